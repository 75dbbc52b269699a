"""Plots of what went on in the run, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pipeline.report.figures import Cost, Curve, Gap
from pipeline.report.plots.options import (
    BESIDE_BARS,
    OTHER,
    OWN,
    ROWS,
    TEXT,
    Plot,
    axis,
    coloured,
    line_of,
    option_of,
)
from pipeline.report.words import number, of_bytes, seconds


def losses(curves: list[Curve]) -> Plot | None:
    if not curves:
        return None
    values = [loss for curve in curves for loss in curve.loss if math.isfinite(loss)]
    log = bool(values) and min(values) > 0 and max(values) > 30 * min(values)
    series = []
    for index, curve in enumerate(curves):
        colour = OWN if curve.name == "student" else OTHER
        line = line_of("student" if curve.name == "student" else "opponents", _points(curve.steps, curve.loss), colour)
        line |= {"symbol": "none"}
        line["lineStyle"] |= {"type": "solid" if colour == OWN else "dashed"}
        if index and curve.steps:
            begin = {"xAxis": curves[index - 1].steps[-1] if curve.steps[0] > curves[index - 1].steps[-1] else 0}
            line["markLine"] = {
                "data": [begin],
                "symbol": "none",
                "silent": True,
                "label": {"show": False},
                "lineStyle": {"color": TEXT, "type": "dotted", "width": 1.5},
            }
        series.append(line)
    option = option_of(axis("optimiser step"), axis("loss", log=log) | {"scale": True}, series)
    rows = [[c.name, f"{c.steps[-1]:,}", number(c.loss[0]), number(c.loss[-1])] for c in curves if c.steps]
    last = rows[-1] if rows else ["", "", "", ""]
    said = (
        f"Training loss over the optimiser steps of {len(curves)} trainings, one after the other; in the last one "
        f"it goes from {last[2]} to {last[3]}."
    )
    return Plot("losses", said, option, ["training", "ends at step", "loss at its start", "at its end"], rows[-ROWS:])


def gaps(gaps: list[Gap]) -> Plot | None:
    if not gaps:
        return None
    values = [value for gap in gaps for value in (*gap.before, *gap.after)]
    log = min(values) > 0 and max(values) > 30 * min(values)
    series = []
    for name, colour, shape, kind, aside in (
        ("before the climb", OTHER, "emptyCircle", "dashed", -0.06),
        ("after the climb", OWN, "triangle", "solid", 0.06),
    ):
        of = [gap.before if aside < 0 else gap.after for gap in gaps]
        medians = [[gap.round + aside, figure[2]] for gap, figure in zip(gaps, of, strict=True)]
        line = line_of(name, medians, colour, symbol=shape, size=9)
        line["lineStyle"] |= {"type": kind}
        quartiles: list[Any] = []
        for gap, figure in zip(gaps, of, strict=True):
            quartiles += [[gap.round + aside, figure[1]], [gap.round + aside, figure[3]], [gap.round + aside, "-"]]
        series += [line, line_of(f"{name}, middle half", quartiles, colour, symbol="none", width=4, silent=True)]
        series[-1]["lineStyle"] |= {"opacity": 0.45}
    along = axis("round") | {"min": 0.5, "max": gaps[-1].round + 0.5, "minInterval": 1}
    along["axisLabel"] |= {"showMinLabel": False, "showMaxLabel": False}
    option = option_of(along, axis("gap", log=log), series)
    option["legend"]["data"] = ["before the climb", "after the climb"]
    rows = [
        [str(gap.round), f"{gap.samples:,}", *(number(value) for value in (*gap.before, *gap.after))] for gap in gaps
    ]
    first, last = gaps[0], gaps[-1]
    said = f"Median gap by round. In round {first.round} climbs raise it {_from_to(first)}"
    said += f", in round {last.round} {_from_to(last)}" if last is not first else ""
    said += ". Bars are the middle half of the samples."
    names = ["mean", "25 %", "median", "75 %"]
    columns = ["round", "samples", *(f"before: {name}" for name in names), *(f"after: {name}" for name in names)]
    return Plot("gaps", said, option, columns, rows[-ROWS:])


def _from_to(gap: Gap) -> str:
    return f"from {number(gap.before[2])} to {number(gap.after[2])}"


def times(costs: list[Cost]) -> Plot | None:
    known = [(cost.name, cost.seconds) for cost in costs if cost.timed]
    if not known:
        return None
    name, most = max(known, key=lambda found: found[1])
    said = f"{seconds(sum(time for _, time in known))} in all of what is known. Longest: {name}, {seconds(most)}."
    return _bars("times", said, "seconds", known, seconds)


def sizes(costs: list[Cost]) -> Plot | None:
    known = [(cost.name, cost.bytes / 1e6) for cost in costs if cost.done]
    if not known:
        return None
    name, most = max(known, key=lambda found: found[1])
    said = f"{of_bytes(1e6 * sum(size for _, size in known))} in all. Largest: {name}, {of_bytes(1e6 * most)}."
    return _bars("sizes", said, "MB", known, lambda size: of_bytes(1e6 * size))


def _bars(id_: str, said: str, unit: str, values: list[tuple[str, float]], shown: Callable[[float], str]) -> Plot:
    category = axis() | {"type": "category", "inverse": True, "splitLine": {"show": False}}
    category["data"] = [name for name, _ in values]
    category["axisLabel"] |= {"width": 110, "overflow": "truncate", "interval": 0, "fontSize": 11}
    data = [{"value": round(value, 3), "label": {"formatter": shown(value)}} for _, value in values]
    series: list[dict[str, Any]] = [{"type": "bar", "name": unit, "data": data, "barMaxWidth": 14}]
    series[0] |= {"label": {"show": True, "position": "right", "color": TEXT, "fontSize": 11}, **coloured(OWN)}
    option = option_of(axis(unit), category, series, legend=False)
    option["grid"]["right"] = BESIDE_BARS
    rows = [[name, shown(value)] for name, value in values]
    return Plot(id_, said, option, ["stage", unit], rows, 80 + 22 * len(values))


def _points(steps: list[int], values: list[float]) -> list[Any]:
    return [[step, value if math.isfinite(value) else "-"] for step, value in zip(steps, values, strict=True)]
