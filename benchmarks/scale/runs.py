"""Runs of the real stages on 28x28 images, timed from within and from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from images import write_source

from pipeline import layout
from pipeline.artifacts.artifact import read_manifest
from pipeline.progress import Task
from pipeline.runners.base import Commit, Job, Runner, unchanged
from pipeline.runners.threads import ThreadsRunner
from pipeline.sources import open_samples
from pipeline.stages import cache, export, mine
from pipeline.stages.export import _gather, _Writer
from schemas.config import Config, parse_config
from schemas.manifest import ShardReport

STAGES: dict[str, Callable[..., Any]] = {"cache": cache, "mine": mine, "export": export}
STEPS = 20
"""Optimiser steps of a run with one round; the opponent takes half of them."""


def make_source(folder: Path, samples: int) -> Path:
    """Images in files of 6,000 in `folder`."""
    write_source(folder, samples)
    return folder


def config_of(source: Path, output: Path, *, workers: int = 1, steps: int = STEPS) -> Config:
    """One round over `source`, with the models of benchmarks/growth.py."""
    return parse_config(
        {
            "run": {
                "output": str(output),
                "rounds": 1,
                "runner": "processes",
                "workers": workers,
                "device": "cpu",
            },
            "data": {"train": str(source)},
            "teacher": {"factory": "zoo:cnn", "kwargs": {"classes": 10, "width": 8, "depth": 2}},
            "student": {"factory": "zoo:cnn", "kwargs": {"classes": 10, "width": 4, "depth": 2}},
            "mine": {"steps": 1},
            "train": {"steps": steps},
        },
        root=output.parent,
        origin="scale",
    )


class Watched(ThreadsRunner):
    """One shard after the other in this process, each timed.

    Attributes:
        units: seconds of each: made and written.
        commits: seconds of each: reported to the artifact.
    """

    def __init__(self) -> None:
        super().__init__(1)
        self.units: list[float] = []
        self.commits: list[float] = []

    def run(self, job: Job, todo: Sequence[int], commit: Commit = unchanged) -> Generator[tuple[int, ShardReport]]:
        for index in todo:
            began = time.perf_counter()
            report = job.target.write(job.make(index))
            made = time.perf_counter()
            committed = commit(index, report)
            self.units.append(made - began)
            self.commits.append(time.perf_counter() - made)
            yield index, committed


@dataclass
class StepTimes:
    """Progress that notes when optimiser steps were done."""

    times: list[float] = field(default_factory=list)

    @contextmanager
    def task(self, title: str, total: int, unit: str = "samples") -> Iterator[Task]:
        yield _Steps(self.times if unit == "steps" else [])

    def say(self, message: str) -> None:
        pass

    @property
    def seconds(self) -> float:
        """Of one step; the first one, which waits for the samples, does not count."""
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1) if len(self.times) > 1 else 0.0


@dataclass
class _Steps:
    times: list[float]

    def skip(self, amount: int, **figures: float) -> None: ...

    def advance(self, amount: int = 1, **figures: float) -> None:
        if amount:
            self.times.append(time.perf_counter())


@dataclass(frozen=True)
class Timed:
    """One stage: seconds in all, and what its runner and its training say of them."""

    seconds: float
    units: list[float] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    step: float = 0.0
    steps: int = 0

    @property
    def rest(self) -> float:
        """Seconds that are neither shards nor commits nor steps."""
        return self.seconds - sum(self.units) - sum(self.commits) - self.steps * self.step


def watched(config: Config) -> dict[str, Timed]:
    """The stages in this process, seen from within."""
    found = {}
    for name, stage in STAGES.items():
        runner, steps = Watched(), StepTimes()
        seconds = _seconds(partial(stage, config, runner=runner, progress=steps))
        found[name] = Timed(seconds, runner.units, runner.commits, steps.seconds, len(steps.times))
    return found


def timed(config: Config, runner: Runner) -> dict[str, float]:
    """Seconds of every stage, from call to return, with workers that stay from stage to stage as in `bpkd run`."""
    return {name: _seconds(partial(stage, config, runner=runner)) for name, stage in STAGES.items()}


def unit_sizes(stage: str, config: Config) -> list[int]:
    """Samples in each shard of a stage, as the stage itself cuts them; of export once all before it is done."""
    samples = open_samples(config)
    if stage != "export":
        return [len(chunk) for chunk in samples.chunks]
    url = layout.teacher_logits(config.output)
    cache_manifest = read_manifest(url, "cache CONFIG")
    rounds = [read_manifest(layout.auxiliary(config.output, 1), "mine CONFIG")]
    inputs = _gather(config, samples, url, cache_manifest, rounds)
    return [unit.samples for unit in _Writer(config, inputs.rows, inputs.parts).units]


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
