"""Runs a study: every run once, whatever was made before taken over, and all single results in one JSON."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from comparison import HERE, Result, Scale, make_teacher, run_all
from timing import machine, save, stopwatch
from validation import write_validation

from studies.declared import SEARCH
from studies.methods import choose
from studies.study import Cell, Study, cells, teacher_passes
from studies.tables import shown

Measuring = Callable[[Study, Scale, int], list[dict[str, Any]]]
"""Gives the results of a study, with so many processes."""


def run(study: Study, scale: Scale, jobs: int) -> list[dict[str, Any]]:
    """All results of a study, in its order, each with its point and what it asked of the teacher."""
    found = {cell.key: result for cell, result in trained(study, scale, jobs)}
    return [_row(cell, found[cell.key]) for cell in cells(study)]


def trained(study: Study, scale: Scale, jobs: int) -> list[tuple[Cell, Result]]:
    """Each run of a study once, those that take longest first, so that no core is idle at the end."""
    once = {cell.key: cell for cell in cells(study)}
    ordered = sorted(once.values(), key=lambda cell: -_work(cell))
    tasks = [cell.task(study, scale) for cell in ordered]
    if study.split == "validation":
        write_validation(scale.data, scale.work)
    make_teacher(tasks[0][0], tasks[0][3])
    click.echo(f"{study.name}: {len(tasks)} runs, {jobs} side by side", err=True)
    return list(zip(ordered, run_all(tasks, jobs), strict=True))


def _work(cell: Cell) -> int:
    return teacher_passes(cell.sections, cell.sections["data"]["limit"])


def _row(cell: Cell, result: Result) -> dict[str, Any]:
    mined = cell.sections["run"]["rounds"] * cell.sections["mine"].get("climbs", 1)
    asked = teacher_passes(cell.sections, result.stored // (1 + mined))
    figures = {name: value for name, value in asdict(result).items() if name not in ("student", "mse")}
    return {"point": cell.point, **figures, "passes": asked}


def chosen(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Method -> the setting whose students agree most with the teacher, on average over the seeds."""
    names = dict.fromkeys(row["method"] for row in rows)
    return choose({name: statistics.mean(r["agreement"] for r in rows if r["method"] == name) for name in names})


def report_of(study: Study, script: str, seconds: float, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "study": study.name,
        "command": f"python benchmarks/studies/{script} --data DIR" + " --search" * (study.name == "search"),
        "machine": {**machine(), "threads": 1},
        "seconds": seconds,
        "settings": {
            "split": study.split,
            "steps": study.steps,
            "teacher_epochs": study.epochs,
            "base": study.base,
            "points": study.points,
            "methods": study.methods,
        },
        **({"chosen": chosen(rows)} if study.name == "search" else {}),
        "results": rows,
    }


def command(study: Study, about: str, measuring: Measuring = run) -> click.Command:
    """The command line of a study's script; `about` is its docstring, `measuring` gives its results."""
    script = f"{study.name}.py"

    @click.command(help=about.splitlines()[0])
    @click.option("--data", required=True, help="directory with train-*.parquet and test-*.parquet")
    @click.option("--work", type=click.Path(path_type=Path), help="where runs are kept and resumed")
    @click.option("--jobs", default=os.cpu_count(), show_default=True, help="runs side by side, one thread each")
    @click.option("--search", is_flag=True, help="choose the settings of all methods, on a validation split, instead")
    @click.option("--quick", is_flag=True, help="first and last point and method, few steps: to see that it works")
    @click.option("--output", type=click.Path(path_type=Path), help="JSON to write; in results/, if not quick")
    def main(data: str, work: Path | None, jobs: int, search: bool, quick: bool, output: Path | None) -> None:
        wanted, measure = (SEARCH, run) if search else (study, measuring)
        wanted = wanted.quick() if quick else wanted
        folder = work or HERE / "work" / ("studies-quick" if quick else "studies")
        folder.mkdir(parents=True, exist_ok=True)
        with stopwatch(folder / f"{wanted.name}.seconds") as seconds:
            rows = measure(wanted, Scale(data, folder, wanted.steps, wanted.epochs), jobs)
        report = report_of(wanted, script, seconds(), rows)
        save(output or (folder if quick else HERE / "results") / f"study_{wanted.name}.json", report)
        click.echo(shown(report))
        for name, setting in report.get("chosen", {}).items():
            click.echo(f"{name}: {setting}", err=True)

    return main
