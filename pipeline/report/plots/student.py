"""Plots of how good the student is."""

from __future__ import annotations

import math
from typing import Any

from pipeline.report.figures import Evaluation, Measure
from pipeline.report.plots.options import BESIDE_BARS, OTHER, OWN, ROWS, TEXT, Plot, axis, coloured, line_of, option_of
from pipeline.report.statistics import Interval
from pipeline.report.words import band, number, percent, points

CLASSES = 30
"""That a plot shows, at most."""


def headline(measures: list[Measure], baseline: str | None) -> Plot | None:
    """Of what is a share, with and without: points with intervals."""
    shares = [measure for measure in measures if measure.percent]
    if not shares:
        return None
    own_name = "this run" if baseline else ""
    rows: list[tuple[str, str, Interval, str]] = []
    for measure in shares:
        rows.append((measure.name, own_name, measure.own, OWN))
        if baseline and measure.baseline:
            rows.append((measure.name, baseline, measure.baseline, OTHER))
    labels = [f"{name}\n{who}".strip() for name, who, *_ in rows]
    series: list[dict[str, Any]] = []
    for place, (_, _, interval, colour) in enumerate(rows):
        ends = [[100 * interval.low, place], [100 * interval.high, place]]
        series.append(line_of("95 % interval", ends, colour, symbol="rect", size=[2, 16], width=3, silent=True))
        shape = "circle" if colour == OWN else "diamond"
        point = {"value": [100 * interval.value, place], "symbol": shape, "symbolSize": 14}
        label = {"show": True, "formatter": percent(interval.value), "position": "top", "color": TEXT, "fontSize": 13}
        series.append({"type": "scatter", "name": labels[place].replace("\n", ", "), "data": [point], "label": label}
                      | coloured(colour))  # fmt: skip
    along = axis("per cent") | {"scale": True}
    category = axis() | {"type": "category", "data": labels, "inverse": True, "splitLine": {"show": False}}
    category["axisLabel"] |= {"width": 110, "overflow": "break"}
    table = [[name, who or "this run", percent(i.value), band(i, percent)] for name, who, i, _ in rows]
    said = "; ".join(
        f"{name} {who}: {value}, 95 % interval {ends}".replace(" :", ":") for name, who, value, ends in table
    )
    option = option_of(along, category, series, legend=False)
    option["tooltip"]["trigger"] = "item"
    return Plot(
        "headline", f"{said}.", option, ["figure", "student", "value", "95 % interval"], table, 70 + 62 * len(rows)
    )


def classes(evaluation: Evaluation, baseline: str | None) -> Plot | None:
    if not evaluation.classes:
        return None
    figure = "right" if evaluation.labelled else "as the teacher"
    compared = baseline is not None
    ordered = sorted(evaluation.classes, key=lambda found: -(found.difference or found.own).value)
    picked = ordered if len(ordered) <= CLASSES else [*ordered[: CLASSES // 2], *ordered[-CLASSES // 2 :]]
    bars = []
    for found in picked:
        value = (found.difference or found.own).value
        aside = {"position": "left" if value < 0 else "right"}
        style = coloured(OTHER if value < 0 else OWN, decal=value < 0)
        bars.append({"value": round(100 * value, 1), "label": aside, **style})
    label = {"show": True, "color": TEXT, "formatter": "{c}"}
    name = "difference in points" if compared else f"{figure}, per cent"
    series = [{"type": "bar", "name": name, "data": bars, "label": label, "barMaxWidth": 18}]
    names = [found.name if len(found.name) <= 24 else f"{found.name[:23]}…" for found in picked]
    category = axis() | {"type": "category", "data": names, "inverse": True, "splitLine": {"show": False}}
    category["axisLabel"] |= {"width": 110, "overflow": "truncate", "interval": 0}
    # Room for the value of the longest bar to the left, or it would lie on the name of its class.
    along = axis(name) | ({"boundaryGap": ["15%", 0]} if any(bar["value"] < 0 for bar in bars) else {})
    option = option_of(along, category, series, legend=False)
    option["grid"]["right"] = BESIDE_BARS
    rows = []
    for found in ordered[:ROWS]:
        row = [found.name, f"{found.samples:,}", percent(found.own.value), band(found.own, percent)]
        if found.baseline and found.difference:
            row += [percent(found.baseline.value), points(found.difference.value), band(found.difference, points)]
        rows.append(row)
    columns = ["class", "samples", figure, "95 % interval"]
    columns += [str(baseline), "difference", "95 % interval"] if compared else []
    best, worst = ordered[0], ordered[-1]
    if best.difference and worst.difference:
        up = sum(found.difference.value > 0 for found in ordered if found.difference)
        said = (
            f"{up} of {len(ordered)} classes gain. {best.name} by most, {points(best.difference.value)}; "
            f"{worst.name} comes last with {points(worst.difference.value)}."
        )
    else:
        said = (
            f"Share of each class that the student answers {figure}: from {percent(worst.own.value)} ({worst.name}) "
            f"to {percent(best.own.value)} ({best.name})."
        )
    if len(picked) < len(ordered):
        said += f" The plot shows the first and the last {CLASSES // 2} of {len(ordered)} classes."
    return Plot("classes", said, option, columns, rows, 80 + 26 * len(picked))


def calibration(evaluation: Evaluation) -> Plot | None:
    bins = evaluation.bins
    if not bins:
        return None
    most = max(found.samples for found in bins)
    data = [
        {
            "value": [round(100 * found.confidence, 3), round(100 * found.correct.value, 3)],
            "symbolSize": 6 + 20 * math.sqrt(found.samples / most),
        }
        for found in bins
    ]
    diagonal = line_of("as sure as right", [[0, 0], [100, 100]], TEXT, symbol="none", width=1, silent=True)
    diagonal["lineStyle"] |= {"type": "dashed"}
    dots = {"type": "scatter", "name": "student", "data": data, **coloured(OWN)}
    ends: list[Any] = []
    for found in bins:
        x = 100 * found.confidence
        ends += [[x, 100 * found.correct.low], [x, 100 * found.correct.high], [x, "-"]]
    intervals = line_of("95 % interval", ends, OWN, symbol="none", silent=True)
    whole = {"min": 0, "max": 100}
    wanted = "right" if evaluation.labelled else "agrees"
    option = option_of(
        axis("how sure, per cent") | whole, axis(f"{wanted}, per cent") | whole, [diagonal, intervals, dots]
    )
    option["tooltip"]["trigger"] = "item"
    rows = [
        [
            f"{percent(b.low)} to {percent(b.high)}",
            f"{b.samples:,}",
            percent(b.confidence),
            percent(b.correct.value),
            band(b.correct, percent),
        ]
        for b in bins
    ]
    signed = sum(b.samples * (b.confidence - b.correct.value) for b in bins) / sum(b.samples for b in bins)
    tends = "too sure" if signed > 0 else "not sure enough"
    said = (
        f"How often the student {'is right' if evaluation.labelled else 'agrees with the teacher'} against how sure it "
        f"is, in {len(bins)} bins; a larger point has more samples, its line is the "
        "95 % interval. On the dashed line it is as sure as it is right. "
        f"On average it is {points(abs(signed), sign=False)} {tends}; expected calibration error "
        f"{percent(evaluation.ece or 0)}."
    )
    return Plot("calibration", said, option, ["how sure", "samples", "on average", wanted, "95 % interval"], rows, 360)


def answers(evaluation: Evaluation) -> Plot | None:
    """Of a regression."""
    if not evaluation.points:
        return None
    both = [value for point in evaluation.points for value in point]
    low, high = min(both), max(both)
    diagonal = line_of("right", [[low, low], [high, high]], TEXT, symbol="none", width=1, silent=True)
    diagonal["lineStyle"] |= {"type": "dashed"}
    dots: dict[str, Any] = {"type": "scatter", "name": "student", "symbolSize": 7, **coloured(OWN)}
    dots["data"] = [list(point) for point in evaluation.points]
    dots["itemStyle"] |= {"opacity": 0.7}
    edge = {"lineStyle": {"color": TEXT}, "onZero": False}
    x, y = (axis(name) | {"scale": True, "axisLine": edge} for name in ("wanted", "student's answer"))
    option = option_of(x, y, [diagonal, dots])
    option["tooltip"]["trigger"] = "item"
    said = (
        f"The student's answers against what was wanted, {len(evaluation.points):,} held-out samples; on the dashed "
        "line they are right."
    )
    rows = [[number(wanted), number(got), number(got - wanted)] for wanted, got in evaluation.points[:ROWS]]
    return Plot("answers", said, option, ["wanted", "student's answer", "difference"], rows, 360)
