"""A summary of a data set in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.facts import print_facts, print_table
from schemas.errors import counted
from schemas.urls import shown

if TYPE_CHECKING:
    from pipeline.datasets.classes import ClassCounts
    from pipeline.datasets.summary import Summary

ROWS = 20
"""Classes that are shown, at most; --json has all."""


def print_summary(summary: Summary, counts: list[ClassCounts] | None) -> None:
    """What is in a data set; `counts` is None where nobody counted."""
    from rich.filesize import decimal

    known = f", {len(summary.classes):,} classes" if summary.classes else ""
    print_facts(
        {
            "data set": shown(summary.url),
            "samples": f"{summary.samples:,}: {summary.source:,} source, {summary.auxiliary:,} auxiliary",
            "labelled": f"{summary.labelled:,}",
            "failed": f"{summary.failures:,}" if summary.failures else None,
            "task": f"{summary.task}{known}",
            "sample": summary.form,
            "embeddings": _embeddings(summary),
            "logits": f"{summary.width:,} as {summary.codec}",
            "format": f"{summary.format}, {counted(summary.shards, 'shard')} of split {summary.split!r}",
            "size": f"{decimal(summary.bytes)} in {counted(summary.files, 'file')}",
            "per sample": _per_sample(summary),
            "made by": f"bpkd {summary.bpkd}",
        }
    )
    _print_rounds(summary)
    if counts is None:
        click.echo("\nclasses are not counted; leave out --fast to read them from the samples")
    elif counts:
        _print_classes(counts, source=summary.source > 0)
    click.echo("\nmade from")
    print_facts(dict(_leaves(summary.provenance)), indent="  ")


def _embeddings(summary: Summary) -> str | None:
    if summary.embeddings is None:
        return None
    if not summary.mapped:
        return "the student's are the teacher's"
    return f"mapped from the student's to the teacher's with a residual of {summary.embeddings.residual:.1%}"


def _per_sample(summary: Summary) -> str | None:
    from rich.filesize import decimal

    if summary.sample_bytes is None:
        return None
    million = decimal(round(summary.sample_bytes * 10**6))
    return f"{summary.sample_bytes:,.0f} bytes in the shards; a million would take {million}"


def _print_rounds(summary: Summary) -> None:
    rows = []
    for round_ in summary.rounds:
        first = [str(round_.round), f"{round_.samples:,}"]
        for name, gaps in round_.gap.items():
            figures = [f"{value:.4g}" for value in (gaps.mean, gaps.q25, gaps.q50, gaps.q75)]
            rows.append([*first, name.removeprefix("gap_"), *figures])
            first = ["", ""]
    if rows:
        print_table(["round", "auxiliary", "gap", "mean", "25 %", "50 %", "75 %"], rows)


def _print_classes(counts: list[ClassCounts], source: bool) -> None:
    """Samples by class; where the data set has no source samples, without the columns that only they fill."""
    largest = sorted(counts, key=lambda count: -(count.source + count.auxiliary))[:ROWS]
    rows = [
        [count.name, *([f"{count.labelled:,}", f"{count.source:,}"] if source else []), f"{count.auxiliary:,}"]
        for count in sorted(largest, key=lambda count: count.index)
    ]
    own = ["labelled", "teacher's choice: source", "auxiliary"] if source else ["teacher's choice: auxiliary"]
    print_table(["class", *own], rows)
    if len(counts) > ROWS:
        click.echo(f"and {len(counts) - ROWS:,} more classes with fewer samples; --json has all")


def _leaves(value: Any, path: str = "") -> list[tuple[str, str]]:
    """(dotted path, value) of all that is in a nested mapping and says something."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}" if path else str(key))]
    return [] if value is None else [(path, str(value))]
