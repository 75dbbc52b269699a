"""Mean and quartiles of the gaps of a round, exact, in memory that does not depend on how many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from pipeline.storage import Folder

_COLUMNS = ("gap_before", "gap_after")
_QUARTILES = {"q25": 0.25, "q50": 0.5, "q75": 0.75}
_HALF = 16
_COUNTERS = 2**_HALF
_SIGN = np.uint32(2**31)
_BLOCK = 2**20

Values = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.int64]


def gap_statistics(folder: Folder, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Mean and quartiles of the gap at the start of the climbs and on the stored samples; empty where there are none.

    Args:
        folder: of a round's auxiliary samples.
        names: of its shards. Each is read once; the gaps then lie in temporary files, 8 bytes a sample.
    """
    with ExitStack() as stack:
        spools = {column: stack.enter_context(TemporaryFile()) for column in _COLUMNS}
        for name in names:
            with folder.open(name) as file:
                table = pq.ParquetFile(file, pre_buffer=False).read(columns=list(_COLUMNS), use_threads=False)
            for column, spool in spools.items():
                spool.write(table[column].to_numpy().astype(np.float32).tobytes())
        found = {column: summary(partial(_blocks, spool)) for column, spool in spools.items()}
    return {column: figures for column, figures in found.items() if figures}


def _blocks(spool: IO[bytes]) -> Iterator[Values]:
    spool.seek(0)
    while data := spool.read(_BLOCK):
        yield np.frombuffer(data, np.float32)


def summary(read: Callable[[], Iterator[Values]]) -> dict[str, float]:
    """Mean and quartiles (each the nearest of the values) of what `read` gives, the same at both calls; empty of none.

    Counts how often the upper half of a value's bits occurs, and then, for those where a quartile lies, the lower half.
    """
    upper, total = np.zeros(_COUNTERS, np.int64), 0.0
    for values in read():
        upper += np.bincount(_ordered(values) >> _HALF, minlength=_COUNTERS)
        total += float(values.sum(dtype=np.float64))
    count = int(upper.sum())
    if not count:
        return {}
    places = {name: _Place.of(upper, int((count - 1) * share + 0.5)) for name, share in _QUARTILES.items()}
    lower = {place.upper: np.zeros(_COUNTERS, np.int64) for place in places.values()}
    for values in read():
        bits = _ordered(values)
        for half, counts in lower.items():
            chosen = bits[bits >> _HALF == half]
            counts += np.bincount(chosen & (_COUNTERS - 1), minlength=_COUNTERS)
    quartiles = {name: place.value(lower[place.upper]) for name, place in places.items()}
    return {"mean": total / count, **quartiles}


@dataclass(frozen=True)
class _Place:
    """Where a value is: the upper half of its bits, and how many smaller ones have the same."""

    upper: int
    before: int

    @classmethod
    def of(cls, counts: Counts, rank: int) -> _Place:
        """Of the value that so many are before, given how often each half occurs."""
        upto = np.cumsum(counts)
        half = int(np.searchsorted(upto, rank, side="right"))
        return cls(half, rank - int(upto[half] - counts[half]))

    def value(self, counts: Counts) -> float:
        """The value, given how often each lower half occurs with this upper half."""
        lower = _Place.of(counts, self.before).upper
        bits = np.array([self.upper << _HALF | lower], np.uint32)
        return float(np.where(bits >> 31, bits ^ _SIGN, ~bits).view(np.float32)[0])


def _ordered(values: Values) -> Bits:
    """Numbers without a sign that are in the order of the values: their bits, of negative ones turned over."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits ^ _SIGN)
