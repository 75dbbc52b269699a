"""`bpkd demo`: the whole thing on real bundled data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import common, example
from cli.settings import Settings

if TYPE_CHECKING:
    from pipeline.demo import Outcome


@click.command(epilog=example("bpkd demo", "bpkd demo --output /tmp/demo --json"))
@click.option("--output", default="runs/demo", show_default=True, type=click.Path(), help="Where everything goes.")
@click.option("--seed", default=0, show_default=True, help="Of the teacher and of all students.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@common
@click.pass_context
def demo(ctx: click.Context, output: str, seed: int, as_json: bool) -> None:
    """Teach a small student real handwriting from 100 images, in four ways.

    A teacher is trained on all 1,347 training images that scikit-learn ships; the students see 100 of them. The folder
    is emptied first.
    """
    from cli.progress import make_progress
    from pipeline.demo import SEEN, compare, prepare
    from pipeline.storage import Folder

    progress = make_progress(quiet=ctx.ensure_object(Settings).quiet)
    folder = Path(output).absolute()
    _clear(folder)
    teacher = prepare(folder, progress, seed)
    progress.say(f"teacher: {teacher.accuracy:.1%} right on held-out digits, {teacher.weights:,} weights")
    outcomes = list(compare(folder, progress, seed))
    if as_json:
        _print_json(teacher.accuracy, outcomes)
        return
    _print_table(outcomes, SEEN)
    best = Folder(outcomes[-1].url).url
    click.echo(f"data set  {best}/dataset\nstudent   {best}/student/model.safetensors\nconfig    {best}/config.toml")


def _clear(folder: Path) -> None:
    """Remove what an earlier demo left, and nothing else."""
    from pipeline.storage import Folder
    from schemas.errors import UserError

    marker = "digits-train.parquet"
    if folder.exists() and any(folder.iterdir()):
        if not (folder / marker).exists():
            raise UserError(f"{folder} is not empty and no demo made it; name another folder with --output")
        Folder(str(folder)).remove()


def _print_table(outcomes: list[Outcome], seen: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"A student of {outcomes[0].weights:,} weights that saw {seen} images", title_justify="left")
    table.add_column("method")
    for name in ("accuracy", "agreement with teacher", "stored samples", "seconds"):
        table.add_column(name, justify="right")
    for outcome in outcomes:
        table.add_row(
            outcome.method,
            f"{outcome.accuracy:.1%}",
            f"{outcome.agreement:.1%}",
            f"{outcome.stored:,}",
            f"{outcome.seconds:.1f}",
            style="bold" if outcome is outcomes[-1] else None,
        )
    Console().print(table)


def _print_json(teacher: float, outcomes: list[Outcome]) -> None:
    import json
    from dataclasses import asdict

    click.echo(json.dumps({"teacher_accuracy": teacher, "methods": [asdict(outcome) for outcome in outcomes]}))
