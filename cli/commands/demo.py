"""`bpkd demo`: the whole thing on real bundled data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.facts import add_cells, print_whole
from cli.options import common, example
from cli.results import print_json
from cli.settings import Settings

if TYPE_CHECKING:
    from pipeline.demo import Outcome


@click.command(epilog=example("bpkd demo", "bpkd demo --output /tmp/demo --json"))
@click.option("--output", default="runs/demo", show_default=True, type=click.Path(), help="Where everything goes.")
@click.option("--seed", default=0, show_default=True, help="Of the teacher and of all students.")
@click.option("--restart", is_flag=True, help="Throw away what an earlier demo left and begin anew.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@common
@click.pass_context
def demo(ctx: click.Context, output: str, seed: int, restart: bool, as_json: bool) -> None:
    """Teach a small student real handwriting from 100 images, in four ways.

    A teacher is trained on all 1,347 training images that scikit-learn ships; the students see 100 of them. What an
    interrupted demo has finished is kept; run it again to resume.
    """
    from cli.progress import make_progress
    from pipeline.demo import SEEN, run_demo

    settings = ctx.ensure_object(Settings)
    settings.restart, settings.resumes = restart, True
    progress = make_progress(quiet=settings.quiet)
    found = run_demo(Path(output).absolute(), progress, seed=seed, restart=restart)
    if as_json:
        _print_json(found.teacher.accuracy, found.outcomes)
        return
    _print_table(found.outcomes, SEEN)
    best = found.outcomes[-1].url
    click.echo(f"data set  {best}/dataset\nstudent   {best}/student/model.safetensors\nconfig    {best}/config.toml")


def _print_table(outcomes: list[Outcome], seen: int) -> None:
    from rich.table import Table

    table = Table(title=f"A student of {outcomes[0].weights:,} weights that saw {seen} images", title_justify="left")
    rows = [
        [
            outcome.method,
            f"{outcome.accuracy:.1%}",
            f"{outcome.agreement:.1%}",
            f"{outcome.stored:,}",
            "resumed" if outcome.seconds is None else f"{outcome.seconds:.1f}",
        ]
        for outcome in outcomes
    ]
    add_cells(table, ["method", "accuracy", "agreement with teacher", "stored samples", "seconds"], rows)
    table.rows[-1].style = "bold"
    print_whole(table)


def _print_json(teacher: float, outcomes: list[Outcome]) -> None:
    from dataclasses import asdict

    print_json({"teacher_accuracy": teacher, "methods": [asdict(outcome) for outcome in outcomes]})
