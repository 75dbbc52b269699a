"""The simulation: workers that make shards, and the one process that commits them. Seconds everywhere."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scale.constants import Constants, StageCost

Speed = Callable[[int], float]
"""How fast each of k busy workers is, 1 for one that is alone."""

INF = float("inf")
AT_MOST = 20_000
"""Shards that are simulated; what a stage with more of them takes is carried on from there."""


@dataclass(frozen=True)
class Crew:
    """Who makes the shards of a stage.

    Attributes:
        workers: processes that make them.
        begin: of work before a worker takes its first shard: its start, and the opening of source and models.
        commit: that the process which makes the artifact spends on each shard, one after the other.
        speed: of each of k busy workers.
        ahead: shards that are handed out and not committed, for each worker; `Runner.ahead`.
    """

    workers: int
    begin: float
    commit: float
    speed: Speed
    ahead: int = 2


def simulate(units: Sequence[float], crew: Crew) -> float:
    """Until the last shard is committed.

    Args:
        units: what each shard takes a worker that is alone.
        crew: who makes them.
    """
    if len(units) > AT_MOST:
        half = simulate(units[: AT_MOST // 2], crew)
        whole = simulate(units[:AT_MOST], crew)
        return whole + (whole - half) * (sum(units[AT_MOST:]) / sum(units[AT_MOST // 2 : AT_MOST]))
    todo = iter(units)
    handed = deque(itertools.islice(todo, crew.ahead * crew.workers))
    # All that is under way goes at the same speed, so that one clock of work done serves for all of it.
    busy = [(crew.begin, False)] * min(crew.workers, len(handed))
    now = clock = 0.0
    idle = made = committed = 0
    committing = INF
    while committed < len(units):
        speed = crew.speed(len(busy)) if busy else 1.0
        ends = now + (busy[0][0] - clock) / speed if busy else INF
        soonest = min(ends, committing)
        now, clock = soonest, clock + (soonest - now) * speed
        if ends <= committing:
            made += heapq.heappop(busy)[1]
            idle += 1
        else:
            committed, committing = committed + 1, INF
            handed.extend(itertools.islice(todo, 1))
        if made and committing == INF:
            made, committing = made - 1, now + crew.commit
        while handed and idle:
            heapq.heappush(busy, (clock + handed.popleft(), True))
            idle -= 1
    return now


def stage_seconds(cost: StageCost, samples: int, units: Sequence[int], crew: Crew) -> float:
    """A stage from call to return.

    Args:
        cost: of the stage.
        samples: of the source.
        units: samples in each shard.
        crew: who makes them.
    """
    return cost.fixed + cost.serial * samples + simulate([cost.unit * size for size in units], crew)


def shared_cores(constants: Constants) -> Speed:
    """Workers that share the cores on which the constants were measured.

    Between one worker and one per core the speed falls in a straight line; beyond that the cores are shared.
    """
    cores, loaded = constants.cores, constants.loaded

    def speed(busy: int) -> float:
        if busy > cores:
            return loaded * cores / busy
        return 1 - (1 - loaded) * (busy - 1) / max(cores - 1, 1)

    return speed
