"""The real stages on the first samples of the source, in a directory that is thrown away."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.artifacts.artifact import read_manifest
from pipeline.plan.watch import Peak, Track, Watch
from pipeline.progress import Progress
from pipeline.runners.base import Runner, make_runner
from pipeline.sources import open_samples
from pipeline.stages import cache, evaluate, export, mine, train
from schemas.config import Config
from schemas.manifest import Manifest

T = TypeVar("T")

MINED = "round 1 mine"
"""Title of the task that climbs."""
OPPONENT = "round 1 train"
TRAINED = "train"
EVALUATED = "evaluate"
GALLERY = "gallery"
"""Title of the task that looks through the data set for a few samples to show."""


@dataclass(frozen=True)
class StageRun:
    """What one stage took.

    Attributes:
        seconds: of the whole call.
        tracks: its tasks by title.
        memory, device_memory: peak bytes, see `Peak`.
    """

    seconds: float
    tracks: dict[str, Track]
    memory: int
    device_memory: int | None

    @property
    def fixed(self) -> float:
        """Seconds outside its tasks: source and models opened, manifests written."""
        return max(self.seconds - sum(track.seconds for track in self.tracks.values()), 0.0)


@dataclass(frozen=True)
class Size:
    """How much a pilot does.

    Attributes:
        samples: of the source.
        shard: samples in a unit of work.
        steps: of each training.
    """

    samples: int
    shard: int
    steps: int


@dataclass(frozen=True)
class Pilot:
    """What the stages took, and left, on the first samples; without rounds nothing is mined.

    Attributes:
        config: of it.
        size: of it.
        workers: of the runner.
        runs: by stage.
        logits, auxiliary, dataset, student: manifests.
        mined_only: of the data set without the source; None where the data set is that, or nothing is mined.
    """

    config: Config
    size: Size
    workers: int
    runs: dict[str, StageRun]
    logits: Manifest
    auxiliary: Manifest | None
    dataset: Manifest
    mined_only: Manifest | None
    student: Manifest


def pilot_config(config: Config, output: str, size: Size, workers: bool) -> Config:
    """The config of a pilot in `output`.

    Args:
        config: of the whole run.
        output: an empty directory on this machine.
        size: of the pilot.
        workers: whether to take the config's runner; a single thread otherwise.
    """
    rounds = min(config.run.rounds, 1)
    run: dict[str, Any] = {"output": output, "rounds": rounds, "versions": False, "base": None}
    if not workers:
        run |= {"runner": "threads", "runner_options": {}, "workers": 1}
    data = {"limit": size.samples, "shuffle": False, "shard_size": size.shard}
    budget = {"steps": size.steps * (rounds + 1), "epochs": None}
    return config.model_copy(
        update={
            "run": config.run.model_copy(update=run),
            "data": config.data.model_copy(update=data),
            "train": config.train.model_copy(update=budget),
        }
    )


def run_cache(config: Config) -> StageRun:
    """The cache of a pilot's config alone."""
    with make_runner(config) as runner:
        return watched(lambda progress: cache(config, progress=progress, runner=runner))[1]


def run_pilot(config: Config, size: Size) -> Pilot:
    """All stages of a pilot's config but evaluate."""
    runs: dict[str, StageRun] = {}
    auxiliary = mined_only = None
    with make_runner(config) as runner:
        workers = runner.workers
        logits, runs["cache"] = watched(lambda progress: cache(config, progress=progress, runner=runner))
        if config.run.rounds:
            rounds, runs["mine"] = watched(lambda progress: mine(config, progress=progress, runner=runner))
            auxiliary = rounds[0]
        dataset, runs["export"] = watched(lambda progress: export(config, progress=progress, runner=runner))
        if config.run.rounds and config.export.include_source:
            mined_only = _mined_only(config, runner)
    student, runs["train"] = watched(lambda progress: train(config, progress=progress))
    return Pilot(config, size, workers, runs, logits, auxiliary, dataset, mined_only, student)


@dataclass(frozen=True)
class Evaluation:
    """What evaluate took, and left, on the first held-out samples.

    Attributes:
        samples: how many those were.
        held_out: how many there are.
        run: what it took.
        fixed: seconds outside its tasks, at the most that evaluations took.
        made: its manifest.
    """

    samples: int
    held_out: int
    run: StageRun
    fixed: float
    made: Manifest


def run_evaluation(pilot: Pilot, count: int) -> Evaluation:
    """Evaluate the student of a pilot on the first `count` held-out samples; `data.eval` is set."""
    config, output = pilot.config, f"{pilot.config.output}/evaluation-{count}"
    everything = open_samples(config, "eval")
    part = everything.first(count)
    _, run = watched(lambda progress: evaluate(config, samples=part, output=output, progress=progress))
    return Evaluation(part.size, everything.size, run, run.fixed, read_manifest(output, None))


def _mined_only(config: Config, runner: Runner) -> Manifest:
    """Shards without the source, for what a mined sample takes in them."""
    alone = config.model_copy(update={"export": config.export.model_copy(update={"include_source": False})})
    return export(alone, output=f"{config.output}/mined-only", runner=runner)


def watched(call: Callable[[Progress], T]) -> tuple[T, StageRun]:
    """What a stage returns, given its progress, and what it took."""
    watch, began = Watch(), time.perf_counter()
    with Peak() as peak:
        result = call(watch)
    seconds = time.perf_counter() - began
    tracks = {track.title: track for track in watch.tracks}
    return result, StageRun(seconds, tracks, peak.bytes, peak.device_bytes)
