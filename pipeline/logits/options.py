"""Checks of `cache.codec_options`."""

from __future__ import annotations

import math

from schemas.errors import UserError


def require_count(value: object, option: str, most: int | None = None) -> int:
    """The value itself.

    Raises:
        UserError: not a whole number from 1 to `most`.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1 and (most is None or value <= most):
        return value
    takes = "a whole number of at least 1" if most is None else f"a whole number from 1 to {most}"
    raise UserError(f"cache.codec_options: {option} = {value!r}: takes {takes}")


def require_temperature(value: object) -> float:
    """The value itself.

    Raises:
        UserError: not a finite number above 0.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return value
    raise UserError(f"cache.codec_options: temperature = {value!r}: takes a number above 0")
