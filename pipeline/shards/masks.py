"""What a rule about rows says: which of them break it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Mask = npt.NDArray[np.bool_]
"""bool (N,), one per row."""

Wrong = Iterator[tuple[Mask, str]]
"""For each rule the rows that break it, and what is wrong with them."""


def true(condition: pa.Array) -> Mask:
    """bool (N,); null counts as False."""
    mask: Mask = condition.fill_null(False).to_numpy(zero_copy_only=False)
    return mask
