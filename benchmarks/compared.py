"""The command line of a comparison, its tables, and what it writes."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from comparison import HERE, QUICK_STEPS, Comparison, Result, Scale, compare
from timing import machine, save, stopwatch


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
        with stopwatch(scale.work / f"{comparison.name}.seconds") as seconds:
            results = compare(comparison, scale, names, seeds, jobs)
        report = _report(comparison, scale, results, seconds())
        save(scale.work / "results.json", report)
        full = (comparison.steps, comparison.seeds, comparison.epochs, list(comparison.methods))
        if (steps, seeds, epochs, names) == full:
            save(HERE / "results" / f"{comparison.name}.json", report)
        click.echo(table(results, ["continued"], comparison.figures))
        click.echo()
        click.echo(table(results, list(comparison.fresh), comparison.figures))

    return main


def _report(comparison: Comparison, scale: Scale, results: list[Result], seconds: float) -> dict[str, Any]:
    return {
        "command": f"python benchmarks/{comparison.name}.py --data DIR",
        "machine": {**machine(), "threads": 1},
        "seconds": seconds,
        "settings": {
            "split": comparison.split,
            "steps": scale.steps,
            "teacher_epochs": scale.epochs,
            "base": comparison.base,
            "methods": comparison.methods,
        },
        "results": [asdict(result) for result in results],
    }


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
