"""What a command prints on stdout when it is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from pipeline.finite import finite
from pipeline.layout import MADE_BY
from schemas.errors import clipped, counted
from schemas.manifest import Manifest
from schemas.urls import shown

RETRIED = ("teacher-logits", "auxiliary")
"""Artifacts whose failed samples can be tried again."""

FAILURES = "failures."
"""Start of the name of the file in an artifact that lists the samples given up."""


def as_object(manifest: Manifest, url: str) -> dict[str, Any]:
    """What `--json` says about one artifact."""
    return {
        "artifact": manifest.artifact,
        "url": shown(url),
        "samples": manifest.samples,
        "failures": manifest.failures,
        "details": manifest.details,
    }


def print_json(result: Mapping[str, Any]) -> None:
    """One JSON object on one line; null for a number that is none."""
    click.echo(json.dumps(finite(result), allow_nan=False))


def print_artifact(manifest: Manifest, url: str) -> None:
    """Where it is, how many samples are in it, and where the failed ones are listed."""
    samples = f"{manifest.samples:,} samples in " if manifest.samples else ""
    click.echo(f"{clipped(manifest.artifact)}: {samples}{shown(url)}{_bytes_per_sample(manifest)}")
    if manifest.failures:
        listed = next((file.path for file in manifest.files if file.path.startswith(FAILURES)), "")
        click.echo(f"  {counted(manifest.failures, 'sample')} failed, see {shown(url)}/{listed}".rstrip("/"))
        if manifest.artifact in RETRIED:
            click.echo(f"  to try again: bpkd {MADE_BY[manifest.artifact]} CONFIG --retry-failed")


def _bytes_per_sample(manifest: Manifest) -> str:
    """What a sample of a data set takes."""
    if manifest.artifact != "dataset" or not manifest.samples:
        return ""
    return f" ({sum(file.bytes for file in manifest.files if file.samples) / manifest.samples:,.0f} bytes a sample)"


def print_figures(figures: Mapping[str, float]) -> None:
    """A small table."""
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        click.echo(f"{name:<{width}}  {value:.4g}")
