"""Which samples make up each batch: exact epochs of known length, with a set share of source samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

_GROUP = 16
"""Batches among which samples are sorted by length: most of what padding costs is saved, and batches stay random."""


@dataclass(frozen=True)
class BatchPlan:
    """How a window is cut into batches.

    Attributes:
        size: samples per batch, at most.
        source_fraction: share of source samples in a batch; None takes samples as they come.

    With a fraction, the origin that needs more batches sets the length of the epoch and is seen exactly once; the
    other is gone round as often as it takes. Without one, or where a window has one origin only, every sample is seen
    exactly once. Batches of an epoch differ by one sample at most in what they take from the origin seen once.
    """

    size: int
    source_fraction: float | None

    def count(self, source: int, auxiliary: int) -> int:
        """Number of batches in a window of so many samples."""
        shares = self._shares(source, auxiliary)
        if shares is None:
            return math.ceil((source + auxiliary) / self.size)
        return max(math.ceil(source / shares[0]), math.ceil(auxiliary / shares[1]))

    def batches(
        self, is_source: npt.NDArray[np.bool_], generator: np.random.Generator, lengths: Indices | None = None
    ) -> Iterator[Indices]:
        """Indices of each batch, in a random order drawn from `generator`.

        Args:
            is_source: bool (N,).
            generator: of all that is random.
            lengths: (N,) of the samples, where those of about the same length should go together.
        """
        batches = self._random(is_source, generator)
        if lengths is None:
            return batches
        return _grouped(batches, self._group(is_source), is_source, lengths, generator)

    def _group(self, is_source: npt.NDArray[np.bool_]) -> int:
        """Batches among which samples may be exchanged: so few that hardly any sample is in them twice.

        A small pool is gone round in a few batches, and sorting would put copies of one sample next to each other.
        """
        source = int(is_source.sum())
        shares = self._shares(source, len(is_source) - source)
        if shares is None:
            return _GROUP
        return max(1, min(_GROUP, source // shares[0], (len(is_source) - source) // shares[1]))

    def _random(self, is_source: npt.NDArray[np.bool_], generator: np.random.Generator) -> Iterator[Indices]:
        own, other = np.flatnonzero(is_source), np.flatnonzero(~is_source)
        count = self.count(len(own), len(other))
        shares = self._shares(len(own), len(other))
        if shares is None:
            if count:
                yield from np.array_split(generator.permutation(len(is_source)), count)
            return
        streams = [
            _once(pool, count, generator) if math.ceil(len(pool) / share) == count else _cycle(pool, share, generator)
            for pool, share in ((own, shares[0]), (other, shares[1]))
        ]
        for _ in range(count):
            yield np.concatenate([next(stream) for stream in streams])

    def _shares(self, source: int, auxiliary: int) -> tuple[int, int] | None:
        """Samples of each origin in a batch, None where one origin is absent or the share is left natural."""
        if self.source_fraction is None or not source or not auxiliary or self.size < 2:
            return None
        own = min(max(round(self.size * self.source_fraction), 1), self.size - 1)
        return own, self.size - own


def _grouped(
    batches: Iterator[Indices],
    count: int,
    is_source: npt.NDArray[np.bool_],
    lengths: Indices,
    generator: np.random.Generator,
) -> Iterator[Indices]:
    """The same samples in as many batches of the same sizes, exchanged among `count` of them by origin and length."""
    while group := list(islice(batches, count)):
        every = np.concatenate(group)
        ranked = [indices[np.argsort(lengths[indices], kind="stable")] for indices in _by_origin(every, is_source)]
        taken = [0, 0]
        sorted_: list[Indices] = []
        for batch in group:
            parts = []
            for origin, indices in enumerate(_by_origin(batch, is_source)):
                parts.append(ranked[origin][taken[origin] : taken[origin] + len(indices)])
                taken[origin] += len(indices)
            sorted_.append(np.concatenate(parts))
        for number in generator.permutation(len(sorted_)):
            yield sorted_[number]


def _by_origin(indices: Indices, is_source: npt.NDArray[np.bool_]) -> tuple[Indices, Indices]:
    return indices[is_source[indices]], indices[~is_source[indices]]


def _once(pool: Indices, count: int, generator: np.random.Generator) -> Iterator[Indices]:
    return iter(np.array_split(generator.permutation(pool), count))


def _cycle(pool: Indices, share: int, generator: np.random.Generator) -> Iterator[Indices]:
    """Endless batches of `share`, one permutation of the pool after the other."""
    waiting: npt.NDArray[Any] = np.empty(0, pool.dtype)
    while True:
        while len(waiting) < share:
            waiting = np.concatenate([waiting, generator.permutation(pool)])
        yield waiting[:share]
        waiting = waiting[share:]
