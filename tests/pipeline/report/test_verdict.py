"""The result in words."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pipeline.report.figures import Baseline, Evaluation, Figures, Measure
from pipeline.report.statistics import Interval, share, share_difference
from pipeline.report.verdict import card, verdict


def figures(
    gained: int = 2,
    *,
    samples: int = 10,
    steps: int | None = 40,
    no_numbers: int = 0,
    baseline: dict[str, Any] | None = None,
) -> Figures:
    """Of a run that answers `gained` more samples right than its baseline, if it has one."""
    accuracy = Measure("accuracy", True, "higher", samples, share(gained, samples))
    other = None
    if baseline is not None:
        difference = share_difference(gained, 0, samples)
        accuracy = Measure("accuracy", True, "higher", samples, share(gained, samples), share(0, samples), difference)
        given = {"steps": 40, "differences": [("run.rounds", "2", "0")], **baseline}
        other = Baseline("without auxiliary samples", "plain", plain=True, **given)
    evaluation = Evaluation("classification", samples, True, [accuracy], {}, [], [], None, [], no_numbers)
    return Figures("n", "u", "1", "image", 2, "", [], [], [], [], evaluation, other, [], [], steps=steps)


def test_as_many_steps_are_a_fair_comparison() -> None:
    assert verdict(figures(baseline={"differences": [("run.rounds", "2", "0"), ("mine.steps", "3", "9")]})) == (
        "Accuracy: 20.0 points better than the student without auxiliary samples "
        "(the interval has zero in it: it may be chance)."
    )
    budget = [("train.epochs", "5", "not set"), ("train.steps", "not set", "40")]
    assert "other ways" not in verdict(figures(baseline={"differences": budget}))


@pytest.mark.parametrize("own", [144, None])
def test_unlike_numbers_of_steps_are_said(own: int | None) -> None:
    said = verdict(figures(steps=own, baseline={}))
    count = "an unknown number of" if own is None else own
    assert f"The students took {count} and 40 optimiser steps, so that is not due to auxiliary samples alone." in said


def test_steps_that_nobody_knows_are_the_budget_of_the_configs() -> None:
    assert "optimiser steps" not in verdict(figures(steps=None, baseline={"steps": None}))
    budget = [("train.steps", "40", "80")]
    assert "other ways" in verdict(figures(steps=None, baseline={"steps": None, "differences": budget}))


def test_other_settings_are_said() -> None:
    other = {"differences": [("train.lr", "1", "2")]}
    assert "The configs also differ in other ways" in verdict(figures(baseline=other))
    assert "optimiser steps and the configs also differ" in verdict(figures(steps=1, baseline=other))


def test_no_difference_is_neither_better_nor_worse() -> None:
    assert verdict(figures(0, baseline={})) == "Accuracy: the same as that of the student without auxiliary samples."


def test_one_sample_is_one() -> None:
    assert verdict(figures(1, samples=1)) == "The student answers right for 1 of 1 held-out sample."
    number = Measure("mse", False, "lower", 1, Interval(0.5, -math.inf, math.inf))
    evaluation = Evaluation("regression", 1, True, [number], {}, [], [], None, [])
    alone = Figures("n", "u", "1", "array", 2, "", [], [], [], [], evaluation, None, [], [])
    assert verdict(alone) == "Over 1 held-out sample the mean squared error is 0.5."


def test_a_student_that_diverged_is_called_that() -> None:
    said = verdict(figures(no_numbers=7))
    assert "training diverged: 7 of its 10 answers are no numbers" in said
    nothing = Interval(math.nan, math.nan, math.nan)
    measure = Measure("gap", False, "lower", 10, nothing, Interval(1, 0, 2), nothing)
    found = card(measure)
    assert (found.value, found.change, found.band, found.change_band) == ("unknown",) * 4
