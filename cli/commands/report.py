"""`bpkd report`: what happened in a run, as one HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.facts import listed
from cli.options import common, example
from cli.results import print_json

if TYPE_CHECKING:
    from pipeline.report import Report
    from pipeline.report.figures import Measure


@click.command(
    epilog=example(
        "bpkd report runs/first",
        "bpkd run config.toml --set run.rounds=0 --set run.output=runs/plain",
        "bpkd report runs/first --baseline runs/plain",
        "bpkd report s3://bucket/run --output report.html",
        notes="Only what the stages have written is read: no model is opened and nothing is loaded from a network but "
        "RUN itself. A run that is not finished gets a report of what is there.",
    )
)
@click.argument("run", metavar="RUN")
@click.option(
    "--baseline",
    metavar="OTHER_RUN",
    help="Compare the student with that of another run, on the same held-out samples; "
    "of one with run.rounds = 0 that is with and without auxiliary samples.",
)
@click.option("--output", metavar="FILE", help="File or URL of the page; by default report.html in RUN.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@common
def report(run: str, baseline: str | None, output: str | None, as_json: bool) -> None:
    """Write one HTML page about the run in the directory or at the URL RUN.

    It shows the student's figures with their uncertainty, learning curves, gaps, classes, calibration, a gallery of
    auxiliary samples, time and bytes, and the exact config and hashes. The page needs no network and no other file.
    """
    from pipeline.report import write_report

    written = write_report(run, baseline=baseline, output=output)
    _print_json(written) if as_json else _print_lines(written)


def _print_lines(written: Report) -> None:
    from rich.filesize import decimal

    click.echo(f"report: {written.url} ({decimal(written.bytes)})")
    if written.verdict:
        click.echo(f"  {written.verdict}")
    figures = written.figures
    if figures.missing:
        click.echo(f"  not finished: {listed((stage.name for stage in figures.missing), figures.not_begun)}")
    for note in figures.notes:
        click.echo(f"  not in order: {note}")


def _print_json(written: Report) -> None:
    figures = written.figures
    measures = figures.evaluation.measures if figures.evaluation else []
    print_json(
        {
            "url": written.url,
            "bytes": written.bytes,
            "verdict": written.verdict,
            "figures": {measure.name: _measure(measure) for measure in measures},
            "unfinished": [stage.name for stage in figures.missing],
            "not_begun": figures.not_begun,
            "notes": figures.notes,
        }
    )


def _measure(measure: Measure) -> dict[str, Any]:
    from dataclasses import asdict

    names = ("own", "baseline", "difference")
    intervals = {name: getattr(measure, name) for name in names}
    return {"samples": measure.samples} | {name: found and asdict(found) for name, found in intervals.items()}
