"""The result in words: a card for each figure, and one sentence for the first."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.report.figures import Figures, Measure
from pipeline.report.words import band, number, percent, points, signed

_TITLES = {"mse": "Mean squared error", "gap": "Gap to the teacher", "agreement": "Agreement with the teacher"}


@dataclass(frozen=True)
class Card:
    """A measure in words; `change` and what follows only where there is a baseline."""

    title: str
    value: str
    band: str
    difference: bool
    baseline: str = ""
    change: str = ""
    change_band: str = ""


def verdict(figures: Figures) -> str:
    """The result in a sentence or two; empty where there is none."""
    if figures.evaluation is None or not figures.evaluation.measures:
        return ""
    measures, baseline = figures.evaluation.measures, figures.baseline
    if baseline is None:
        return _alone(measures[0])
    beside = f"than the student {baseline.name}" if baseline.plain else "than the baseline's student"
    said = "; ".join(_compared(measure, beside if not place else "") for place, measure in enumerate(measures))
    alone = all(key == "run.rounds" or key.startswith("mine.") for key, *_ in baseline.differences)
    but = " The configs also differ in other ways (below), so that is not due to auxiliary samples alone."
    return f"{said}.{'' if alone else but}"


def _alone(measure: Measure) -> str:
    if not measure.percent:
        return (
            f"Over {measure.samples:,} held-out samples the {_title(measure).lower()} is {number(measure.own.value)}."
        )
    does = "answers right" if measure.name == "accuracy" else "answers as the teacher"
    hits = round(measure.own.value * measure.samples)
    return f"The student {does} for {hits:,} of {measure.samples:,} held-out samples."


def _compared(measure: Measure, beside: str) -> str:
    if measure.difference is None:
        return f"{_title(measure)}: unknown"
    change = measure.difference.value
    how = "better" if (change > 0) == (measure.better == "higher") else "worse"
    sure = "" if measure.difference.certain else " (the interval has zero in it: it may be chance)"
    return f"{_title(measure)}: {_difference(measure, abs(change), sign=False)} {how} {beside}".rstrip() + sure


def card(measure: Measure) -> Card:
    form = percent if measure.percent else number
    ends = band(measure.own, form)
    if measure.difference is None or measure.baseline is None:
        return Card(_title(measure), form(measure.own.value), ends, difference=False)
    return Card(
        _title(measure),
        form(measure.own.value),
        ends,
        difference=True,
        baseline=form(measure.baseline.value),
        change=_difference(measure, measure.difference.value),
        change_band=band(measure.difference, points if measure.percent else signed),
    )


def _difference(measure: Measure, value: float, *, sign: bool = True) -> str:
    if measure.percent:
        return points(value, sign=sign)
    return signed(value) if sign else number(value)


def _title(measure: Measure) -> str:
    return _TITLES.get(measure.name, measure.name.capitalize())
