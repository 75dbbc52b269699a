"""Figures as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline.report.statistics import Interval

_SPACE = "\N{NO-BREAK SPACE}"
"""Between a number and its unit."""


UNKNOWN = "unknown"
"""What is said of a number that is none."""


def percent(value: float) -> str:
    """0.947 -> 94.7 %"""
    return UNKNOWN if not math.isfinite(value) else f"{100 * value:.1f}{_SPACE}%"


def points(value: float, *, sign: bool = True) -> str:
    """A difference of shares: 0.118 -> +11.8 points."""
    return UNKNOWN if not math.isfinite(value) else f"{100 * value:{'+' if sign else ''}.1f} points"


def number(value: float) -> str:
    if not math.isfinite(value):
        return UNKNOWN
    return f"{value:,.4g}" if abs(value) < 1e5 else f"{value:.3g}"


def signed(value: float) -> str:
    return UNKNOWN if not math.isfinite(value) else f"{value:+.4g}"


def band(interval: Interval, form: Callable[[float], str]) -> str:
    """The ends of an interval."""
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return UNKNOWN
    low, high = form(interval.low), form(interval.high)
    figure, space, unit = low.rpartition(_SPACE)
    return f"{figure if space and high.endswith(space + unit) else low} to {high}"


def seconds(value: float) -> str:
    if value < 120:
        return f"{value:.2f}{_SPACE}s" if value < 1 else f"{value:.1f}{_SPACE}s"
    return f"{value / 60:.1f}{_SPACE}min" if value < 7200 else f"{value / 3600:.1f}{_SPACE}h"


def of_bytes(value: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.0f}{_SPACE}{unit}" if unit == "bytes" else f"{value:,.1f}{_SPACE}{unit}"
        value /= 1000
    return f"{value:,.1f}{_SPACE}TB"
