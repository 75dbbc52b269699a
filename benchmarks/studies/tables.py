"""The results of a study as tables: JSON in, rows out."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from timing import markdown

Row = dict[str, Any]
"""One result: point, method, seed, accuracy, agreement, stored, seconds, passes, ..."""

FIGURES = {"accuracy": "accuracy, %", "agreement": "agreement, %", "passes": "passes of the teacher", "seconds": "s"}


def axes(results: Sequence[Row]) -> dict[str, list[str]]:
    """Axis -> its points, both in the order of the study."""
    found: dict[str, list[str]] = {}
    for point in dict.fromkeys(row["point"] for row in results):
        found.setdefault(split(point)[0], []).append(point)
    return found


def split(point: str) -> tuple[str, str]:
    """Axis and value of a point "AXIS = VALUE"."""
    axis, _, value = point.partition(" = ")
    return axis, value


def of(results: Sequence[Row], point: str, method: str, figure: str) -> list[float]:
    """The figure of every seed; without those that have none."""
    own = [row for row in results if (row["point"], row["method"]) == (point, method)]
    return [row[figure] for row in own if row[figure] is not None]


def rows(report: dict[str, Any], axis: str, figure: str) -> Iterator[list[str]]:
    """Heads, and a row for every method: mean ± standard deviation over the seeds, at every point of an axis."""
    results = report["results"]
    points = axes(results)[axis]
    yield [axis, *(split(point)[1] for point in points)]
    for method in dict.fromkeys(row["method"] for row in results if row["point"] in points):
        yield [method, *(cell(of(results, point, method, figure), figure) for point in points)]


def cell(values: Sequence[float], figure: str) -> str:
    """Fractions in per cent, others as whole numbers; empty of nothing, without a deviation of a single one."""
    if not values:
        return ""
    mean = statistics.mean(values)
    if figure in ("passes", "seconds"):
        return f"{mean:,.0f}"
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean:.1f}{spread}"


def shown(report: dict[str, Any], figures: Sequence[str] = ("accuracy", "agreement", "passes", "seconds")) -> str:
    """All tables of a study in Markdown, each below what its figure is."""
    parts = []
    for axis in axes(report["results"]):
        for figure in (name for name in figures if name in report["results"][0]):
            heads, *lines = rows(report, axis, figure)
            parts.append(markdown([f"{FIGURES[figure]}; {heads[0]}", *heads[1:]], lines))
    return "\n\n".join(parts)
