"""Several methods on the same data at equal cost: the runs, and students trained from their data sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.config import Config

os.environ.setdefault("OMP_NUM_THREADS", "1")

import click
from validation import validation_file, write_validation

HERE = Path(__file__).parent
QUICK_STEPS = 60

Sections = Mapping[str, Mapping[str, Any]]
"""Sections of a config, as far as they are set."""


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        name: of the script, and of its results.
        base: config that all methods share, but for what is filled in here: output, seed, data and weights.
        methods: name -> what it changes.
        fresh: name -> section [student] of a student trained from each method's data set alone.
        teaching: arguments of `train_teacher` besides the epochs.
        steps, seeds, epochs: optimiser steps, number of seeds, epochs of the teacher's training.
        figures: of the tables.
        split: of the figures: test, or validation where settings are to be chosen.
        teacher_threads: of the teacher's training; all cores where it is None, which a small model does not gain from.
    """

    name: str
    base: Sections
    methods: Mapping[str, Sections]
    fresh: Mapping[str, Mapping[str, Any]]
    teaching: Mapping[str, Any]
    steps: int
    seeds: int
    epochs: int
    figures: Sequence[str] = ("accuracy", "agreement")
    split: str = "test"
    teacher_threads: int | None = None


@dataclass(frozen=True)
class Result:
    """One student: fractions, mean squared gap, and seconds of all stages that led to it, None where resumed.

    A regression has no fractions, but its mean squared error against the labels.
    """

    method: str
    student: str
    seed: int
    accuracy: float | None
    agreement: float | None
    stored: int
    seconds: float | None
    gap: float | None = None
    mse: float | None = None


@dataclass(frozen=True)
class Scale:
    """Where and how much: the data's directory, the folder of the runs and of the teacher, steps and epochs.

    `teachers` is the folder of the teacher where it is not that of the runs.
    """

    data: str
    work: Path
    steps: int
    epochs: int
    teachers: Path | None = None

    @property
    def teacher(self) -> Path:
        return (self.teachers or self.work) / f"teacher-{self.epochs}-epochs.safetensors"

    def held_out(self, split: str) -> str:
        """Files of the samples that students are measured on."""
        if split == "validation":
            return str(validation_file(self.teachers or self.work))
        return f"{self.data}/{split}-*.parquet"


def merged(*layers: Sections) -> dict[str, dict[str, Any]]:
    """Sections of several configs in one, the later over the earlier, key by key."""
    values: dict[str, dict[str, Any]] = {}
    for sections in layers:
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section}
    return values


Task = tuple[Comparison, str, int, Scale]
"""What `run_one` takes: a method and a seed of a comparison."""


def config_of(comparison: Comparison, method: str, seed: int, scale: Scale) -> Config:
    from schemas.config import parse_config

    filled: dict[str, dict[str, Any]] = {
        "run": {
            "name": method,
            "output": str(scale.work / f"{method.replace(' ', '-')}-{seed}"),
            "seed": seed,
            "device": "cpu",
        },
        "data": {"train": f"{scale.data}/train-*.parquet", "eval": scale.held_out(comparison.split)},
        "teacher": {"weights": str(scale.teacher)},
        "train": {"steps": scale.steps},
    }
    values = merged(comparison.base, filled, comparison.methods[method])
    return parse_config(values, root=Path.cwd(), origin=method)


def make_teacher(comparison: Comparison, scale: Scale) -> None:
    """Train the teacher on the whole training split with labels, unless it is there already."""
    import torch

    from cli.progress import make_progress
    from pipeline.work.teaching import train_teacher

    config = config_of(comparison, next(iter(comparison.methods)), 0, scale)
    if not Path(config.locate(str(config.teacher.weights))).exists():
        torch.set_num_threads(comparison.teacher_threads or os.cpu_count() or 1)
        progress = make_progress(quiet=False)
        taught = train_teacher(config, epochs=scale.epochs, progress=progress, **comparison.teaching)
        figures = ", ".join(f"{name} {value:.4f}" for name, value in taught.figures.items())
        click.echo(f"teacher: {figures}, {taught.weights:,} weights", err=True)


def run_one(comparison: Comparison, method: str, seed: int, scale: Scale) -> list[Result]:
    """The whole run of one method, then fresh students from its data set."""
    from pipeline import layout
    from pipeline.stages import cache, evaluate, export, mine, train
    from pipeline.timing import timed

    config = config_of(comparison, method, seed, scale)

    def stages() -> int:
        cache(config)
        mine(config)
        stored = export(config).samples
        train(config)
        return stored

    def result(student: str, figures: dict[str, float], seconds: float | None) -> Result:
        known = figures.get("accuracy"), figures.get("agreement")
        return Result(method, student, seed, *known, stored, seconds, figures["gap"], figures.get("mse"))

    stored, seconds = timed(config.output, stages)
    results = [result("continued", evaluate(config), seconds)]
    for name, student in comparison.fresh.items():
        fresh = fresh_student(config, student)
        output = f"{layout.student(config.output)}-{name.replace(', ', '-').replace(' ', '-')}"
        _, seconds = timed(output, partial(train, fresh, output=output))
        results.append(result(name, evaluate(fresh, student=output, output=f"{output}-evaluation"), seconds))
    return results


def fresh_student(config: Config, student: Mapping[str, Any]) -> Config:
    """The config with another student, trained from new weights; paths stay relative to the same directory."""
    changes: dict[str, Any] = {
        "student": student,
        "train": {"init": "fresh"},
        "run": {"seed": config.run.seed + 1000},
    }
    sections = {name: getattr(config, name) for name in changes}
    return config.model_copy(
        update={
            name: section.model_validate(section.model_dump() | changes[name]) for name, section in sections.items()
        }
    )


def compare(comparison: Comparison, scale: Scale, methods: list[str], seeds: int, jobs: int) -> list[Result]:
    """All runs, `jobs` of them side by side with one thread each."""
    if comparison.split == "validation":
        write_validation(scale.data, scale.work)
    make_teacher(comparison, scale)
    return run_all([(comparison, method, seed, scale) for seed in range(seeds) for method in methods], jobs)


def run_all(tasks: Sequence[Task], jobs: int) -> list[Result]:
    """The students of all tasks, in their order; the teacher must be there. A single job works in this process."""
    results: list[Result] = []
    with _mapping(jobs) as mapped:
        for found in mapped(_run_and_tell, *zip(*tasks, strict=True)):
            results += found
    return results


def _run_and_tell(comparison: Comparison, method: str, seed: int, scale: Scale) -> list[Result]:
    """`run_one`, and what came of it as soon as it is there: results are gathered in the order of their tasks."""
    found = run_one(comparison, method, seed, scale)
    for result in found:
        seconds = "resumed" if result.seconds is None else f"{result.seconds:.0f} s"
        figures = ("accuracy", "agreement", "gap", "mse")
        known = [(name, value) for name in figures if (value := getattr(result, name)) is not None]
        shown = "".join(f"{name} {value:.4f}  " for name, value in known)
        click.echo(f"{comparison.name}: {method:>16} seed {seed} {result.student:<22}{shown}{seconds}", err=True)
    return found


@contextmanager
def _mapping(jobs: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """`map` over so many processes of one thread each."""
    import torch

    if jobs == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the bits of a result depend on it
        yield map
        torch.set_num_threads(threads)
        return
    # Not forked: a child of a process that has computed with several threads would inherit their number, and may hang.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield pool.map
