"""`bpkd inspect`: what is in a data set, or in one of its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.options import common, example
from cli.results import print_json
from cli.settings import Settings

if TYPE_CHECKING:
    from pipeline.datasets.sample import Sample
    from pipeline.datasets.summary import ClassCounts, Summary

ROWS = 20
"""Classes and settings that are shown, at most; --json has all."""
CHOICES = 5


@click.command(
    epilog=example(
        "bpkd inspect runs/demo/dataset",
        "bpkd inspect s3://bucket/digits --fast",
        "bpkd inspect data/digits --sample 00017+r02 --save /tmp",
        notes="Counting by class reads labels and logits of a Parquet data set, and all of a WebDataset one. Nothing "
        "but the columns that are read is checked; `bpkd verify` checks all.",
    )
)
@click.argument("url", metavar="DATASET")
@click.option("--fast", is_flag=True, help="Do not count by class; reads nothing but the manifest.")
@click.option("--sample", "key", metavar="KEY", help="Show the sample with this key.")
@click.option("--save", metavar="DIR", help="With --sample: write its PNG or .npy, and that of its parent, there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@common
@click.pass_context
def inspect(ctx: click.Context, url: str, fast: bool, key: str | None, save: str | None, as_json: bool) -> None:
    """Show what is in the data set at DATASET, a directory or a URL."""
    if key is None and save is not None:
        raise click.UsageError("--save goes with --sample KEY")
    from cli.progress import make_progress
    from pipeline.datasets import open_dataset
    from pipeline.datasets.sample import find_family, save_sample
    from pipeline.datasets.summary import count_classes, summarize

    progress = make_progress(quiet=ctx.ensure_object(Settings).quiet)
    dataset = open_dataset(url)
    if key is not None:
        family = find_family(dataset, key, parent=save is not None, progress=progress)
        saved = [path for sample in family if save is not None for path in save_sample(sample, save)]
        _sample_json(family[0], saved) if as_json else _print_sample(family[0], saved)
        return
    counts = None if fast else count_classes(dataset, progress)
    _summary_json(summarize(dataset), counts) if as_json else _print_summary(summarize(dataset), counts)


def _summary_json(summary: Summary, counts: list[ClassCounts] | None) -> None:
    from dataclasses import asdict

    rounds = [round_.model_dump() for round_ in summary.rounds]
    by_class = None if counts is None else [asdict(count) for count in counts]
    print_json({**asdict(summary), "rounds": rounds, "by_class": by_class})


def _print_summary(summary: Summary, counts: list[ClassCounts] | None) -> None:
    from rich.filesize import decimal

    known = f", {len(summary.classes):,} classes" if summary.classes else ""
    _print_facts(
        {
            "data set": summary.url,
            "samples": f"{summary.samples:,}: {summary.source:,} source, {summary.auxiliary:,} auxiliary",
            "labelled": f"{summary.labelled:,}",
            "failed": f"{summary.failures:,}" if summary.failures else None,
            "task": f"{summary.task}{known}",
            "sample": f"{summary.kind} {_shape(summary.shape)}",
            "logits": f"{summary.width:,} as {summary.codec}",
            "format": f"{summary.format}, {summary.shards:,} shards of split {summary.split!r}",
            "size": f"{decimal(summary.bytes)} in {summary.files:,} files",
            "made by": f"bpkd {summary.bpkd}",
        }
    )
    _print_rounds(summary)
    if counts is None:
        click.echo("\nclasses are not counted; leave out --fast to read them from the samples")
    elif counts:
        _print_classes(counts)
    click.echo("\nmade from")
    _print_facts(dict(_leaves(summary.provenance)), indent="  ")


def _print_rounds(summary: Summary) -> None:
    rows = []
    for round_ in summary.rounds:
        first = [str(round_.round), f"{round_.samples:,}"]
        for name, gaps in round_.gap.items():
            figures = [f"{value:.4g}" for value in (gaps.mean, gaps.q25, gaps.q50, gaps.q75)]
            rows.append([*first, name.removeprefix("gap_"), *figures])
            first = ["", ""]
    if rows:
        _print_table(["round", "auxiliary", "gap", "mean", "25 %", "50 %", "75 %"], rows)


def _print_classes(counts: list[ClassCounts]) -> None:
    shown = sorted(counts, key=lambda count: -(count.source + count.auxiliary))[:ROWS]
    rows = [
        [count.name, f"{count.labelled:,}", f"{count.source:,}", f"{count.auxiliary:,}"]
        for count in sorted(shown, key=lambda count: count.index)
    ]
    _print_table(["class", "labelled", "teacher's choice: source", "auxiliary"], rows)
    if len(counts) > ROWS:
        click.echo(f"and {len(counts) - ROWS:,} more classes with fewer samples; --json has all")


def _sample_json(sample: Sample, saved: list[str]) -> None:
    from dataclasses import asdict

    files = {extension: len(data) for extension, data in sample.files.items()}
    print_json({**asdict(sample), "files": files, "saved": saved})


def _print_sample(sample: Sample, saved: list[str]) -> None:
    _print_facts(
        {
            "key": sample.key,
            "origin": sample.origin,
            "parent": sample.parent_key,
            "round": sample.round,
            "gap before": None if sample.gap_before is None else f"{sample.gap_before:.4g}",
            "gap after": None if sample.gap_after is None else f"{sample.gap_after:.4g}",
            "steps": sample.steps,
            "label": _label(sample),
            "stored as": ", ".join(f".{name} ({len(data):,} bytes)" for name, data in sample.files.items()),
            "in": sample.shard,
        }
    )
    rows = [
        [output.name, f"{output.logit:.4g}", "" if output.probability is None else f"{output.probability:.2%}"]
        for output in sample.outputs[:CHOICES]
    ]
    _print_table(["teacher", "logit", "probability"], rows)
    if len(sample.outputs) > CHOICES:
        click.echo(f"and {len(sample.outputs) - CHOICES:,} more; --json has all")
    for path in saved:
        click.echo(f"wrote {path}")


def _label(sample: Sample) -> str:
    if sample.label is None:
        return "unknown"
    if isinstance(sample.label, list):
        return ", ".join(f"{number:.4g}" for number in sample.label)
    return str(sample.label) if sample.class_name == str(sample.label) else f"{sample.label} ({sample.class_name})"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _leaves(value: Any, path: str = "") -> list[tuple[str, str]]:
    """(dotted path, value) of all that is in a nested mapping and says something."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}" if path else str(key))]
    return [] if value is None else [(path, str(value))]


def _print_facts(facts: dict[str, Any], indent: str = "") -> None:
    """Name and value of what is not None."""
    from schemas.errors import clipped

    known = {clipped(name, 40): clipped(str(value), 200) for name, value in facts.items() if value is not None}
    width = max(map(len, known), default=0)
    for name, text in known.items():
        click.echo(f"{indent}{name:<{width}}  {text}")


def _print_table(columns: list[str], rows: list[list[str]]) -> None:
    """A table, the first column to the left; what a data set says is taken as plain text."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from schemas.errors import clipped

    table = Table(box=SIMPLE_HEAD)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left")
    for row in rows:
        table.add_row(*(Text(clipped(cell, 40)) for cell in row))
    Console(highlight=False).print(table)
