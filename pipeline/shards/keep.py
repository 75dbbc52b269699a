"""Which auxiliary samples of a shard are kept. A rule is one function here and one line in the registry.

Each takes the shard's gaps, a frame with the columns `gap_before` and `gap_after`, and the configured fraction, and
returns one bool per row.
"""

from __future__ import annotations

import math

import polars as pl


def keep_all(gaps: pl.DataFrame, fraction: float) -> pl.Series:
    return pl.repeat(True, gaps.height, eager=True, dtype=pl.Boolean)


def keep_grew(gaps: pl.DataFrame, fraction: float) -> pl.Series:
    """Those whose stored form has a larger gap than the start of their climb."""
    return gaps["gap_after"] > gaps["gap_before"]


def keep_top(gaps: pl.DataFrame, fraction: float) -> pl.Series:
    """The `fraction` of the shard with the largest gaps, rounded up; ties go to the earlier row."""
    # 0.07 * 100 is 7.000000000000001 in binary; that is 7 samples and not 8.
    count = math.ceil(round(fraction * gaps.height, 9))
    rank = gaps["gap_after"].rank("ordinal", descending=True)
    return rank <= count
