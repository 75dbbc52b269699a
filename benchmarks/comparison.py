"""Several methods on the same data at equal cost: the runs, students trained from their data sets, and the tables."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.config import Config

os.environ.setdefault("OMP_NUM_THREADS", "1")

import click

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
    """Where and how much: the data's directory, the folder of the runs, steps and epochs."""

    data: str
    work: Path
    steps: int
    epochs: int


Task = tuple[Comparison, str, int, Scale]
"""What `run_one` takes: a method and a seed of a comparison."""


def config_of(comparison: Comparison, method: str, seed: int, scale: Scale) -> Config:
    from schemas.config import parse_config

    teacher = str(scale.work / f"teacher-{scale.epochs}-epochs.safetensors")
    filled: dict[str, dict[str, Any]] = {
        "run": {
            "name": method,
            "output": str(scale.work / f"{method.replace(' ', '-')}-{seed}"),
            "seed": seed,
            "device": "cpu",
        },
        "data": {"train": f"{scale.data}/train-*.parquet", "eval": f"{scale.data}/test-*.parquet"},
        "teacher": {"weights": teacher},
        "train": {"steps": scale.steps},
    }
    values: dict[str, dict[str, Any]] = {}
    for sections in (comparison.base, filled, comparison.methods[method]):
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section}
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


def table(results: list[Result], students: list[str], figures: Sequence[str] = ("accuracy", "agreement")) -> str:
    """Markdown: a row per method, for every student each figure as mean +- std; fractions in per cent."""
    head = "| method | stored |" + "".join(f" {s}: {figure} |" for s in students for figure in figures)
    lines = [head, "|---|---|" + "---|" * len(figures) * len(students)]
    for method in dict.fromkeys(result.method for result in results):
        rows = [result for result in results if result.method == method]
        cells = [method, f"{rows[0].stored:,}"]
        for student in students:
            own = [row for row in rows if row.student == student]
            cells += [_mean_std([getattr(row, figure) for row in own], figure) for figure in figures]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean_std(values: list[float], figure: str) -> str:
    factor, digits = (1, 2) if figure == "gap" else (100, 1)
    values = [factor * value for value in values]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"


def compare(comparison: Comparison, scale: Scale, methods: list[str], seeds: int, jobs: int) -> list[Result]:
    """All runs, `jobs` of them side by side with one thread each."""
    make_teacher(comparison, scale)
    return run_all([(comparison, method, seed, scale) for seed in range(seeds) for method in methods], jobs)


def run_all(tasks: Sequence[Task], jobs: int) -> list[Result]:
    """The students of all tasks, in their order; the teacher must be there. A single job works in this process."""
    results: list[Result] = []
    with _mapping(jobs) as mapped:
        for found in mapped(run_one, *zip(*tasks, strict=True)):
            results += found
            for result in found:
                seconds = "resumed" if result.seconds is None else f"{result.seconds:.0f} s"
                figures = ("accuracy", "agreement", "gap", "mse")
                known = [(name, value) for name in figures if (value := getattr(result, name)) is not None]
                shown = "".join(f"{name} {value:.4f}  " for name, value in known)
                click.echo(f"{result.method:>16} seed {result.seed} {result.student:<22}{shown}{seconds}", err=True)
    return results


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


def command(comparison: Comparison, about: str) -> click.Command:
    """The script's command line; `about` is its docstring."""

    @click.command(help=about.splitlines()[0])
    @click.option("--data", required=True, help="directory with train-*.parquet and test-*.parquet")
    @click.option(
        "--work",
        help=f"where runs are kept and resumed; by default work/{comparison.name}, with --quick work/quick",
    )
    @click.option("--seeds", default=comparison.seeds, show_default=True)
    @click.option("--jobs", default=os.cpu_count(), show_default=True, help="runs side by side, one thread each")
    @click.option("--epochs", default=comparison.epochs, show_default=True, help="of the teacher's training")
    @click.option("--methods", default=",".join(comparison.methods), help="comma-separated")
    @click.option("--quick", is_flag=True, help=f"{QUICK_STEPS} steps, one seed, to see that it works")
    def main(data: str, work: str | None, seeds: int, jobs: int, epochs: int, methods: str, quick: bool) -> None:
        steps, seeds, epochs = (QUICK_STEPS, 1, 1) if quick else (comparison.steps, seeds, epochs)
        scale = Scale(data, Path(work or HERE / "work" / ("quick" if quick else comparison.name)), steps, epochs)
        scale.work.mkdir(parents=True, exist_ok=True)
        names = methods.split(",")
        results = compare(comparison, scale, names, seeds, jobs)
        text = json.dumps(_report(comparison, scale, results), indent=1) + "\n"
        (scale.work / "results.json").write_text(text)
        full = (comparison.steps, comparison.seeds, comparison.epochs, list(comparison.methods))
        if (steps, seeds, epochs, names) == full:
            (HERE / "results").mkdir(exist_ok=True)
            (HERE / "results" / f"{comparison.name}.json").write_text(text)
        click.echo(table(results, ["continued"], comparison.figures))
        click.echo()
        click.echo(table(results, list(comparison.fresh), comparison.figures))

    return main


def _report(comparison: Comparison, scale: Scale, results: list[Result]) -> dict[str, Any]:
    return {
        "command": f"python benchmarks/{comparison.name}.py --data DIR",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "settings": {
            "steps": scale.steps,
            "teacher_epochs": scale.epochs,
            "base": comparison.base,
            "methods": comparison.methods,
        },
        "results": [asdict(result) for result in results],
    }
