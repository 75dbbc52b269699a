"""Numbers for JSON, which has no word for one that is none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any) -> Any:
    """`value` with None for every number in it that is infinite or none; tuples become lists."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def pack_figures(figures: Mapping[str, float]) -> bytes:
    """The figures of an evaluation as a JSON object; null is no finite number."""
    return json.dumps(finite(dict(figures)), indent=1).encode()


def unpack_figures(data: bytes) -> dict[str, float]:
    """Name -> value, NaN where it was no finite number.

    Raises:
        ValueError: these are no figures.
    """
    found = json.loads(data)
    if not isinstance(found, dict) or not all(isinstance(value, int | float | None) for value in found.values()):
        raise ValueError("takes a name and a number for each figure")
    return {name: math.nan if value is None else float(value) for name, value in found.items()}
