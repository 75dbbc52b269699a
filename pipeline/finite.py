"""Numbers for JSON, which has no word for one that is none."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> Any:
    """`value` with None for every number in it that is infinite or none; tuples become lists."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
