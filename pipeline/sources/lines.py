"""Where the rows of a text table lie, so that any run of them is read without what comes before it."""

from __future__ import annotations

from typing import IO

import numpy as np
import numpy.typing as npt

_BLOCK = 1 << 22
_LF, _CR, _QUOTE = 10, 13, 34

Spans = npt.NDArray[np.int64]
"""(rows, 2): first byte and end (exclusive) of every row that is not blank."""


def row_spans(file: IO[bytes], quoted: bool) -> Spans:
    """Find the rows of a file in one pass, a block at a time.

    Args:
        file: at its start.
        quoted: whether a line break inside double quotes belongs to the row, as in CSV (RFC 4180).
    """
    ends: list[npt.NDArray[np.int64]] = []
    filled: list[npt.NDArray[np.int64]] = []
    position = quotes = visible = 0
    while data := file.read(_BLOCK):
        codes = np.frombuffer(data, np.uint8)
        breaks = codes == _LF
        shown = visible + np.cumsum(~breaks & (codes != _CR))
        if quoted:
            seen = quotes + np.cumsum(codes == _QUOTE)
            breaks &= seen % 2 == 0
            quotes = int(seen[-1])
        at = np.flatnonzero(breaks)
        ends.append(position + at + 1)
        filled.append(shown[at])
        position, visible = position + len(data), int(shown[-1])
    stops = np.concatenate([*ends, np.array([position])]).astype(np.int64)
    totals = np.concatenate([*filled, np.array([visible])])
    starts = np.concatenate([np.zeros(1, np.int64), stops[:-1]])
    holds = np.diff(totals, prepend=0) > 0
    return np.stack([starts, stops], axis=1)[holds]
