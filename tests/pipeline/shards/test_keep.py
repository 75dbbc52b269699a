from __future__ import annotations

import polars as pl
import pytest

from schemas.registry import KEEPS

GAPS = pl.DataFrame({"gap_before": [1.0, 2.0, 3.0, 4.0, 5.0], "gap_after": [9.0, 1.0, 7.0, 4.0, 9.0]})


@pytest.mark.parametrize(
    ("rule", "fraction", "kept"),
    [
        ("all", 0.1, [0, 1, 2, 3, 4]),
        ("grew", 0.1, [0, 2, 4]),
        ("top", 0.4, [0, 4]),
        ("top", 0.5, [0, 2, 4]),
        ("top", 0.2, [0]),
        ("top", 0.0, []),
        ("top", 1.0, [0, 1, 2, 3, 4]),
    ],
)
def test_which_are_kept(rule, fraction, kept):
    mask = KEEPS.load(rule)(GAPS, fraction)
    assert mask.arg_true().to_list() == kept


@pytest.mark.parametrize("rule", KEEPS.names)
def test_none_of_none(rule):
    assert KEEPS.load(rule)(GAPS.head(0), 0.5).to_list() == []


@pytest.mark.parametrize(("fraction", "height", "kept"), [(0.07, 100, 7), (0.28, 25, 7), (0.1, 3, 1), (0.29, 100, 29)])
def test_a_share_that_comes_out_even_is_not_rounded_up(fraction, height, kept):
    gaps = pl.DataFrame({"gap_before": [0.0] * height, "gap_after": [float(i) for i in range(height)]})
    assert KEEPS.load("top")(gaps, fraction).sum() == kept
