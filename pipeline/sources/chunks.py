"""How a source is cut into units of work, and which of its rows are used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.seeds import numpy_generator
from pipeline.sources.base import Chunk


def first_chunks(sizes: Sequence[tuple[str, int]], size: int, limit: int | None) -> Iterator[Chunk]:
    """The first `limit` rows of all files (all without one) in runs of at most `size`, none across files."""
    index, left = 0, limit
    for file, rows in sizes:
        rows = rows if left is None else min(rows, left)
        left = None if left is None else left - rows
        for start in range(0, rows, size):
            yield Chunk(index, file, start, min(start + size, rows))
            index += 1


def drawn_chunks(sizes: Sequence[tuple[str, int]], size: int, limit: int) -> Iterator[Chunk]:
    """`limit` rows drawn from all files, the same ones at every call; `size` of them in a chunk, none across files."""
    total = sum(rows for _, rows in sizes)
    if limit >= total:
        yield from first_chunks(sizes, size, None)
        return
    drawn = np.sort(numpy_generator(0, "limit", total).permutation(total)[:limit])
    index, begin = 0, 0
    for file, rows in sizes:
        own = drawn[(drawn >= begin) & (drawn < begin + rows)] - begin
        begin += rows
        for start in range(0, len(own), size):
            picked = tuple(own[start : start + size].tolist())
            yield Chunk(index, file, picked[0], picked[-1] + 1, picked)
            index += 1
