"""`bpkd verify`: is every byte and every sample as promised."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cli.facts import listed
from cli.options import common, example
from cli.results import print_json
from cli.settings import Settings
from schemas.errors import counted
from schemas.urls import shown

if TYPE_CHECKING:
    from pipeline.verify import Verdict


@click.command(epilog=example("bpkd verify runs/first/dataset", "bpkd verify s3://bucket/set --teacher config.toml"))
@click.argument("url", metavar="URL")
@click.option(
    "--teacher",
    metavar="CONFIG",
    type=click.Path(),
    help="Label some stored inputs again with the [teacher] of CONFIG, and compare the logits.",
)
@click.option(
    "--samples", default=256, show_default=True, type=click.IntRange(min=1), help="How many --teacher labels."
)
@click.option("--decode", is_flag=True, help="Decode every image, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@common
@click.pass_context
def verify(ctx: click.Context, url: str, teacher: str | None, samples: int, decode: bool, as_json: bool) -> None:
    """Check a data set, another artifact, or all artifacts of a run at URL.

    Compares every file with its manifest, and every row with what the manifest says of all. Exits with 1 where
    something is wrong.
    """
    if teacher is None and ctx.get_parameter_source("samples") is not ParameterSource.DEFAULT:
        raise click.UsageError("--samples goes with --teacher CONFIG")
    from cli.progress import make_progress
    from pipeline.verify import verify as check
    from schemas.config import load_config

    config = None if teacher is None else load_config(teacher)
    progress = make_progress(quiet=ctx.ensure_object(Settings).quiet)
    verdict = check(url, teacher=config, samples=samples, decode=decode, progress=progress)
    if as_json:
        _print_json(verdict)
    else:
        _print_lines(verdict)
    ctx.exit(0 if verdict.ok else 1)


def _print_json(verdict: Verdict) -> None:
    from dataclasses import asdict

    print_json({"ok": verdict.ok, **asdict(verdict), "url": shown(verdict.url)})


def _print_lines(verdict: Verdict) -> None:
    from rich.filesize import decimal

    for problem in verdict.problems:
        click.echo(str(problem))
    if verdict.more:
        click.echo(f"and {verdict.more:,} more")
    again = verdict.relabelled
    if again:
        allowed = f"differ by {again.difference:.3g} where {again.allowed:.3g} is allowed"
        click.echo(f"teacher: {counted(again.samples, 'sample')} labelled again, logits {allowed}")
    if verdict.missing:
        click.echo(f"not made yet: {listed(verdict.missing, verdict.not_begun)}; `bpkd run CONFIG` makes them")
    if verdict.ok:
        sizes = [counted(verdict.files, "file"), *([counted(verdict.samples, "sample")] if verdict.samples else [])]
        click.echo(f"ok: {', '.join([*sizes, decimal(verdict.bytes)])}{_artifacts(verdict)}")
    else:
        click.echo(counted(len(verdict.problems) + verdict.more, "problem"))


def _artifacts(verdict: Verdict) -> str:
    """What of a run was there to be checked."""
    counts = Counter(verdict.artifacts)
    listed = ", ".join(name if count == 1 else f"{count} x {name}" for name, count in counts.items())
    return f" in {listed}" if len(verdict.artifacts) > 1 or verdict.missing else ""
