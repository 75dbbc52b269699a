"""The results of a study as an SVG: a panel for each axis, a line for each method. The same bytes for the same JSON."""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from studies.methods import METHODS
from studies.tables import axes, of, split

# One of each for a method, the same in all pictures; markers are for who sees no colours.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f3c8d", "#000000", "#8c8c8c", "#b22222")
MARKERS = "osD^vP*Xhd"
# Text stays text, in the reader's font; ids and the file say neither when nor by which version it was made.
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bpkd",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    # A light ground of its own, so that it can be read on light and on dark pages.
    "figure.facecolor": "white",
}
SPREAD = 10
"""An axis whose largest value is more than so many times the smallest is logarithmic."""


@contextmanager
def figure(panels: int, legend: int) -> Iterator[tuple[Any, Sequence[Any], io.BytesIO]]:
    """A figure with `panels` axes side by side and room for `legend` names below, and where its SVG goes at the end."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE, "backend": "svg"}):
        rows, columns = -(-panels // 2), min(panels, 2)
        size = (max(4.6 * columns, 6.5), 3.3 * rows + 0.25 * -(-legend // 3))
        made = Figure(figsize=size, layout="constrained")
        grid = made.subplots(rows, columns, squeeze=False, sharey=True).flatten()
        for unused in grid[panels:]:
            unused.remove()
        sink = io.BytesIO()
        yield made, grid[:panels], sink
        handles, names = grid[0].get_legend_handles_labels()
        made.legend(handles, names, loc="outside lower center", ncols=3)
        made.savefig(sink, format="svg", metadata={"Date": None, "Creator": None})


def lines_of(report: dict[str, Any], x: str = "") -> bytes:
    """Accuracy of every method as SVG, mean and standard deviation over the seeds.

    Args:
        report: of a study.
        x: figure of the results that goes along, such as passes; by default the value of each axis.
    """
    results = report["results"]
    methods = list(dict.fromkeys(row["method"] for row in results))
    with figure(1 if x else len(axes(results)), len(methods)) as (_, panels, sink):
        groups = [list(dict.fromkeys(row["point"] for row in results))] if x else list(axes(results).values())
        for panel, points in zip(panels, groups, strict=True):
            for method in methods:
                _line(panel, results, points, method, x)
            panel.set_xlabel(f"{x} of the teacher" if x else split(points[0])[0])
            panel.set_ylabel("accuracy, %")
            _scale(panel, x, points)
    return sink.getvalue()


def look(method: str) -> dict[str, str]:
    number = list(METHODS).index(method) if method in METHODS else len(METHODS)
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def _line(panel: Any, results: Any, points: Sequence[str], method: str, x: str) -> None:
    found = [(point, of(results, point, method, "accuracy")) for point in points]
    found = [(point, values) for point, values in found if values]
    places = [statistics.mean(of(results, point, method, x)) if x else _place(point, points) for point, _ in found]
    order = sorted(range(len(found)), key=places.__getitem__)
    means = [100 * statistics.mean(found[index][1]) for index in order]
    spreads = [100 * statistics.stdev(found[index][1]) if len(found[index][1]) > 1 else 0.0 for index in order]
    at = [places[index] for index in order]
    between = "-" if x or _number(split(points[0])[1]) is not None else "none"  # nothing lies between two names
    style = {"capsize": 2, "linewidth": 1.4, "markersize": 5, "linestyle": between, **look(method)}
    panel.errorbar(at, means, spreads, label=method, **style)


def _place(point: str, points: Sequence[str]) -> float:
    """Where a point is along its axis: its number, or where the axis has others than numbers, its rank."""
    numbers = [_number(split(other)[1]) for other in points]
    number = _number(split(point)[1])
    return float(points.index(point)) if number is None or None in numbers else number


def _number(value: str) -> float | None:
    try:
        return float(value.replace(",", ""))
    except ValueError:
        return None


def _scale(panel: Any, x: str, points: Sequence[str]) -> None:
    """Ticks at the points, on a logarithmic axis where they are far apart."""
    if x:
        panel.set_xscale("symlog", linthresh=500)
        return
    places = [_place(point, points) for point in points]
    if min(places) > 0 and max(places) > SPREAD * min(places):
        panel.set_xscale("log")
    panel.set_xticks(places, [split(point)[1] for point in points])
    panel.set_xticks([], minor=True)
