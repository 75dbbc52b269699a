"""What the paper's three experiments share: settings from a search, equal steps for all methods, one report."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
from comparison import HERE, QUICK_STEPS, Comparison
from timing import machine, save, show

from paper.search import Goal, Runs, Stages, search
from paper.splits import QUICK_ROWS, VALIDATION, cut_splits, quick_splits
from paper.tables import Rows

RESULTS, PICTURES = HERE / "results", HERE.parent / "docs" / "assets" / "results"


@dataclass(frozen=True)
class Experiment:
    """An experiment of the paper.

    Attributes:
        script: its name, also of the report.
        comparisons: by the name of their models, that is, of a teacher and a student.
        searches: by method; any other is as the comparison has it.
        goal: of the searches.
        rows, search_rows: the tables of a report and of a search's.
        splits: (data directory, folder for what is made, seed, whether to search) -> directory with train-*.parquet
            and test-*.parquet, where in a search the latter is cut from the former.
        makes_data: `splits` makes it, and needs no directory.
        extra: more for the report, from the finished runs by the name of their models.
        draw: a picture of the report, an SVG.
        packages: whose versions matter besides torch's.
    """

    script: str
    comparisons: Mapping[str, Comparison]
    searches: Mapping[str, Stages]
    goal: Goal
    rows: Callable[[Mapping[str, Any]], Rows]
    search_rows: Callable[[Mapping[str, Any]], Rows]
    splits: Callable[[str, Path, int, bool], str] = cut_splits
    makes_data: bool = False
    extra: Callable[[Mapping[str, Runs]], dict[str, Any]] = lambda made: {}
    draw: Callable[[Mapping[str, Any]], bytes] | None = None
    packages: tuple[str, ...] = ("numpy", "pyarrow")

    @property
    def name(self) -> str:
        return f"paper_{self.script}"


def find_settings(experiment: Experiment, made: Mapping[str, Runs], jobs: int) -> dict[str, Any]:
    """What every comparison's search has tried and chosen."""
    report: dict[str, Any] = {"validation": VALIDATION, "seeds": [], "tried": [], "chosen": {}}
    for models, runs in made.items():
        tried, report["chosen"][models] = search(experiment.searches, experiment.goal, runs, jobs)
        report["tried"] += [{"models": models, **entry} for entry in tried]
    seeds = {result["seed"] for entry in report["tried"] for result in entry["results"]}
    return report | {"seeds": sorted(seeds)}


def measure(experiment: Experiment, made: Mapping[str, Runs], jobs: int) -> dict[str, Any]:
    """All methods of every comparison on the test split, every result of every seed."""
    results = [
        {"models": models, **asdict(result)}
        for models, runs in made.items()
        for result in runs.make(range(runs.comparison.seeds), jobs)
    ]
    return {"seeds": sorted({result["seed"] for result in results}), "results": results, **experiment.extra(made)}


def all_runs(experiment: Experiment, data: str, work: Path, searching: bool, quick: bool) -> dict[str, Runs]:
    """The runs of every comparison, with the settings that a search has chosen, where there was one."""
    file = RESULTS / f"{experiment.name}_search.json"
    chosen = json.loads(file.read_text())["chosen"] if file.exists() and not (searching or quick) else {}
    if quick and not experiment.makes_data:
        data = quick_splits(data, work.parent)  # which is not what is timed
    return {
        models: Runs(
            replace(comparison, methods={**comparison.methods, **chosen.get(models, {})}),
            lambda seed: experiment.splits(data, work, seed, searching),
            work / comparison.name,
            quick,
        )
        for models, comparison in experiment.comparisons.items()
    }


def settings(runs: Runs) -> dict[str, Any]:
    scale, known = runs.scale(0), runs.comparison
    return {"steps": scale.steps, "teacher_epochs": scale.epochs, "base": known.base, "methods": known.methods}


def command(experiment: Experiment, about: str) -> click.Command:
    """The script's command line; `about` is its docstring."""
    name = experiment.name

    @click.command(help=about.splitlines()[0])
    @click.option(
        "--data",
        required=not experiment.makes_data,
        default="",
        help="none, it is made" if experiment.makes_data else "directory with train-*.parquet and test-*.parquet",
    )
    @click.option("--work", type=click.Path(path_type=Path), help=f"where runs are kept; by default work/{name}")
    @click.option("--jobs", default=os.cpu_count(), show_default=True, help="runs side by side, one thread each")
    @click.option("--search", "searching", is_flag=True, help="choose the settings, on a part of the training split")
    @click.option("--quick", is_flag=True, help=f"{QUICK_STEPS} steps, {QUICK_ROWS} samples, one seed")
    @click.option("--output", type=click.Path(path_type=Path), help="JSON to write; by default in results/")
    def main(data: str, work: Path | None, jobs: int, searching: bool, quick: bool, output: Path | None) -> None:
        from pipeline.timing import timed

        place = (work or HERE / "work" / f"{name}{'_quick' * quick}") / ("search" if searching else "full")
        made = all_runs(experiment, data, place, searching, quick)
        find = find_settings if searching else measure
        options = " --data DIR" * (not experiment.makes_data) + " --search" * searching
        found, seconds = timed(str(place), lambda: find(experiment, made, jobs))
        report = {
            "command": f"python benchmarks/paper/{experiment.script}.py{options}",
            "machine": {**machine(*experiment.packages), "threads": 1, "jobs": jobs},
            "seconds": seconds,
            "settings": {models: settings(runs) for models, runs in made.items()},
            **found,
        }
        target = output or (place if quick else RESULTS) / f"{name}{'_search' * searching}.json"
        save(target, report)
        if experiment.draw is not None and not searching:
            _write(PICTURES / target.name if target.parent == RESULTS else target, experiment.draw(report))
        show((experiment.search_rows if searching else experiment.rows)(report))

    return main


def _write(beside: Path, image: bytes) -> None:
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.with_suffix(".svg").write_bytes(image)
