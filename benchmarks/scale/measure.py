"""The constants of this machine, from short runs of the real stages and pieces. None comes from the run that is
predicted with them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.runners.base import make_runner
from scale import pieces
from scale.constants import Constants, StageCost
from scale.prefect_load import server_load
from scale.processes import in_new_process, loaded_speed
from scale.runs import STAGES, config_of, make_source, timed, unit_sizes, watched
from scale.simulate import Crew, stage_seconds
from scale.store import store_requests


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        few, many: samples of the two short runs.
        files: listed by the manifest whose memory is measured.
        units: samples of the two shards whose memory is measured.
        tasks: of the two Prefect flow runs.
        busy: seconds that the cores are busy.
    """

    few: int = 3000
    many: int = 12000
    files: int = 50_000
    units: tuple[int, int] = (32, 160)
    tasks: tuple[int, int] = (10, 60)
    busy: float = 5.0


QUICK = Sizes(few=300, many=1200, files=2000, units=(16, 48), tasks=(3, 9), busy=0.5)


def measure(sizes: Sizes, say: Callable[[str], None]) -> Constants:
    """All constants; the machine should have nothing else to do."""
    cores = os.cpu_count() or 1
    say("how fast a core is when all are busy")
    loaded = loaded_speed(sizes.busy)
    say("commits, manifests, hashes")
    commit = pieces.commit_seconds(200)
    say("short runs of cache, mine and export")
    with tempfile.TemporaryDirectory() as name:
        stages, step = _stages(Path(name), sizes, commit)
        keys = pieces.key_seconds(Path(name) / "many", Path(name))
    say("memory of manifests and shards")
    memory = {
        "file_memory": pieces.file_memory(sizes.files),
        "base_memory": pieces.base_memory(),
        "unit_memory": pieces.unit_memory(*sizes.units),
    }
    say("requests to an object store")
    store = in_new_process(store_requests, 20)
    say("Prefect tasks")
    load = in_new_process(server_load, *sizes.tasks)
    return Constants(
        cores=cores,
        loaded=loaded,
        stages=stages,
        commit=commit,
        step=step,
        manifest_bytes=pieces.manifest_bytes(),
        key_seconds=keys,
        hash_bytes=pieces.hash_bytes(),
        logits_bytes=pieces.logits_bytes(),
        store_commit=store.commit,
        store_unit=store.unit,
        store_finish=store.finish,
        task_seconds=load.seconds,
        task_requests=load.requests,
        task_events=load.events,
        task_server=load.server,
        run_requests=load.run_requests,
        **memory,
    )


def _stages(folder: Path, sizes: Sizes, commit: float) -> tuple[dict[str, StageCost], float]:
    """What the stages cost, and seconds of an optimiser step."""
    few = make_source(folder / "few", sizes.few)
    many = make_source(folder / "many", sizes.many)
    watched(config_of(few, folder / "warm"))  # what is imported and compiled once
    small, large = watched(config_of(few, folder / "a")), watched(config_of(many, folder / "b"))
    costs = {}
    for name in STAGES:
        serial = max(0.0, (large[name].rest - small[name].rest) / (sizes.many - sizes.few))
        made = sizes.many * (2 if name == "export" else 1)  # as many auxiliary samples
        costs[name] = StageCost(
            fixed=max(0.0, small[name].rest - serial * sizes.few),
            serial=serial,
            unit=sum(large[name].units) / made,
            begin=0.0,
        )
    step = large["mine"].step
    # What a worker does before its first shard is what is left of a run with one worker.
    config = config_of(few, folder / "c")
    with make_runner(config) as runner:
        seconds = timed(config, runner)
    alone = Crew(1, 0.0, commit, lambda busy: 1.0)
    for name, cost in costs.items():
        known = stage_seconds(cost, sizes.few, unit_sizes(name, config), alone)
        known += small[name].steps * step
        costs[name] = replace(cost, begin=max(0.0, seconds[name] - known))
    return costs, step
