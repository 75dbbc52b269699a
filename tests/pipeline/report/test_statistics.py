"""Intervals against published values, and against the same computed in another way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.report.statistics import Mean, share, share_difference


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_shares_have_wilsons_interval(hits: int, count: int, low: float, high: float) -> None:
    found = share(hits, count)
    assert (found.value, found.low, found.high) == pytest.approx((hits / count, low, high), abs=1e-4)


def test_a_difference_of_shares_covers_the_truth_as_often_as_it_says() -> None:
    random, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        outcome = random.choice(3, 200, p=[0.2, 0.1, 0.7])  # gained, lost, the same
        found = share_difference(int((outcome == 0).sum()), int((outcome == 1).sum()), 200)
        covered += found.low <= 0.1 <= found.high
    assert 930 <= covered <= 975


def test_two_equal_students_do_not_differ_for_certain() -> None:
    found = share_difference(7, 7, 100)
    assert found.value == 0 and found.low == pytest.approx(-found.high) and not found.certain
    assert share_difference(40, 2, 100).certain


def test_a_mean_is_the_same_in_pieces() -> None:
    values = np.random.default_rng(0).normal(3, 2, 100)
    mean = Mean()
    for piece in np.split(values, [1, 10, 60]):
        mean.add(len(piece), float(piece.mean()), float(piece.var()))
    half = 1.959964 * values.std(ddof=1) / 10
    found = mean.interval()
    assert (found.value, found.low, found.high) == pytest.approx(
        (values.mean(), values.mean() - half, values.mean() + half)
    )


def test_one_number_tells_nothing_of_others() -> None:
    mean = Mean()
    mean.add(1, 5.0, 0.0)
    assert mean.interval().value == 5 and math.isinf(mean.interval().high)
