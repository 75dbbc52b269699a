"""How a source is cut into units of work, and which of its rows are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.seeds import numpy_generator
from pipeline.sources.base import Chunk


def cut(sizes: Sequence[tuple[str, int]], size: int, limit: int | None, *, shuffle: bool) -> Iterator[Chunk]:
    """The chunks of a source.

    Args:
        sizes: (file, rows) of its files.
        size: rows of a chunk at most.
        limit: rows that are used; None for all.
        shuffle: draw them from all files, rather than use the first ones.
    """
    if limit is None or not shuffle:
        return first_chunks(sizes, size, limit)
    return drawn_chunks(sizes, size, limit)


def shared_chunks(own: Mapping[str, Any], other: Mapping[str, Any]) -> dict[int, int]:
    """Which chunks two sources have in common: the same rows of a file that is the same, read in the same way.

    Args:
        own, other: what `Samples.fingerprint` says of them.

    Returns:
        Number of the chunk in `own` -> its number in `other`.
    """
    if _reading(own) != _reading(other):
        return {}
    there = {_place(chunk): chunk.index for chunk in _recorded(other)}
    return {
        chunk.index: there[_place(chunk)]
        for chunk in _recorded(own)
        if own["files"][chunk.file] == other["files"].get(chunk.file) and _place(chunk) in there
    }


def count_chunks(fingerprint: Mapping[str, Any]) -> int:
    """How many chunks a source has, by what `Samples.fingerprint` says of it."""
    return sum(1 for _ in _recorded(fingerprint))


def _recorded(fingerprint: Mapping[str, Any]) -> Iterator[Chunk]:
    sizes = [(file, known["rows"]) for file, known in fingerprint["files"].items()]
    return cut(sizes, fingerprint["shard_size"], fingerprint["limit"], shuffle=fingerprint["shuffle"])


def _reading(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """How rows become samples."""
    which = ("files", "limit", "shuffle", "shard_size")
    return {name: value for name, value in fingerprint.items() if name not in which}


def _place(chunk: Chunk) -> tuple[Any, ...]:
    return chunk.file, chunk.start, chunk.stop, chunk.picked


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
