"""The result in words: a card for each figure, and one sentence for the first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.report.figures import Baseline, Evaluation, Figures, Measure
from pipeline.report.words import UNKNOWN, band, number, percent, points, signed
from schemas.errors import counted

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
        return f"{_alone(measures[0])}{_diverged(figures.evaluation)}"
    beside = f"than the student {baseline.name}" if baseline.plain else "than the baseline's student"
    said = ". ".join(_compared(measure, beside if not place else "") for place, measure in enumerate(measures))
    return f"{said}.{_diverged(figures.evaluation)}{_but(figures, baseline)}"


def _diverged(evaluation: Evaluation) -> str:
    if not evaluation.no_numbers:
        return ""
    answers = f"{evaluation.no_numbers:,} of its {counted(evaluation.samples, 'answer')}"
    return f" The student's training diverged: {answers} are no numbers. A smaller train.lr may help."


def _but(figures: Figures, baseline: Baseline) -> str:
    """What else than auxiliary samples may be the reason."""
    own, other = (
        "an unknown number of" if steps is None else f"{steps:,}" for steps in (figures.steps, baseline.steps)
    )
    reasons = [] if own == other else [f"the students took {own} and {other} optimiser steps"]
    # Where steps are known, what they were set by is no other way to differ.
    budget = () if figures.steps is baseline.steps is None else ("train.steps", "train.epochs")
    expected = ("run.rounds", *budget)
    if not all(key in expected or key.startswith("mine.") for key, *_ in baseline.differences):
        reasons.append("the configs also differ in other ways, which the page lists")
    said = " and ".join(reasons)
    return f" {said[0].upper()}{said[1:]}, so that is not due to auxiliary samples alone." if said else ""


def _alone(measure: Measure) -> str:
    if not measure.percent:
        return (
            f"Over {counted(measure.samples, 'held-out sample')} the {_title(measure).lower()} is "
            f"{number(measure.own.value)}."
        )
    does = "answers right" if measure.name == "accuracy" else "answers as the teacher"
    hits = round(measure.own.value * measure.samples)
    return f"The student {does} for {hits:,} of {counted(measure.samples, 'held-out sample')}."


def _compared(measure: Measure, beside: str) -> str:
    if measure.difference is None or not math.isfinite(measure.difference.value):
        return f"{_title(measure)}: {UNKNOWN}"
    change = measure.difference.value
    if change == 0:
        return f"{_title(measure)}: {beside.replace('than', 'the same as that of', 1) or 'the same'}"
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
