"""A training pool over parts on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np
import torch

from pipeline.background import begin
from pipeline.distill.pool import Window
from pipeline.seeds import numpy_generator
from pipeline.shards.ahead import CopyAhead, read_ahead
from pipeline.shards.limits import sample_bytes
from pipeline.shards.parts import Part, group
from pipeline.shards.rows import RowFormat
from schemas.errors import BpkdError

PARTING = 1.0
"""Seconds that a part which nobody needs any more is waited for."""


class PartsPool:
    """Parts packed into windows of decoded samples, of which at most `memory_mb` are in memory together.

    What fits is one window, shuffled as a whole. Anything larger goes through windows of at most half of that, so that
    the next one can be loaded while one is trained on; where a part is larger than that, one after the other. While a
    window is loaded, one part is in memory besides, and of remote parts the next few, see `pipeline.shards.ahead`.

    Args:
        parts: where the samples lie.
        rows: their format.
        memory_mb: of all windows in memory.
        seed: of the packing.
        device: that the windows are on.
    """

    def __init__(
        self, parts: Sequence[Part], rows: RowFormat, *, memory_mb: int, seed: int, device: torch.device
    ) -> None:
        self._limit = max(1, memory_mb * 2**20 // sample_bytes(rows))
        parts = [part for part in parts if part.samples]
        fits = sum(part.samples for part in parts) <= self._limit
        self._rows, self._device = rows, device
        size = self._limit if fits else self._limit // 2
        self._groups = group(parts, size, numpy_generator(seed, "windows"))
        self.sizes = [_size(parts) for parts in self._groups]
        self._next: _Next | None = None
        self._copying = CopyAhead([])
        self._is_tensor = rows.kind_.dtype != np.dtype(object)

    def load(self, index: int, following: int | None = None) -> Window:
        """Window `index`; the one before is no longer held.

        Args:
            index: of the window.
            following: of the one that will be loaded next. It is loaded meanwhile if there is room for both; if not,
                its remote files are copied to the local disk, where parts have a cache there.

        Raises:
            BpkdError: a part does not hold as many samples as it promised.
        """
        if self._next is not None and self._next.index == index:
            window = self._next.window.result()
            self._next = None
        else:
            self.stop()
            window = self._load(index, Event())
        if following is not None:
            self._expect(following, len(window.is_source))
        return window

    def stop(self) -> None:
        """Do nothing more for the window that was to follow."""
        self._copying.stop()
        if self._next is not None:
            self._next.stop()
            self._next = None

    def _expect(self, index: int, held: int) -> None:
        self._copying.stop()
        if held + sum(self.sizes[index]) <= self._limit:
            self._next = _Next(index, self._load)
        else:
            self._copying = CopyAhead(self._groups[index])

    def _load(self, index: int, stopped: Event) -> Window:
        window = self._allocate(sum(self.sizes[index]))
        stored: Any = window.stored
        start = 0
        for part, rows in zip(self._groups[index], read_ahead(self._groups[index]), strict=True):
            if stopped.is_set():
                return window
            if len(rows) != part.samples:
                raise BpkdError(f"{part} gave {len(rows)} samples, promised were {part.samples}")
            place = slice(start, start + len(rows))
            stored[place] = torch.from_numpy(rows.stored) if self._is_tensor else rows.stored
            window.logits[place] = rows.logits  # type: ignore[assignment]
            window.labels[place] = torch.from_numpy(rows.labels)
            window.is_source[place] = rows.is_source
            start = place.stop
        return window if self._is_tensor else replace(window, lengths=self._rows.kind_.lengths(stored))

    def _allocate(self, count: int) -> Window:
        rows, labels, dtype = self._rows, self._rows.labels_, self._rows.kind_.dtype
        return Window(
            stored=self._empty((count, *rows.shape), dtype) if self._is_tensor else np.empty(count, dtype),
            logits=rows.codec_.empty(count, rows.width, self._device),
            labels=self._empty((count, *labels.shape), labels.dtype),
            is_source=np.empty(count, np.bool_),
            to_inputs=rows.kind_.to_inputs,
        )

    def _empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.from_numpy(np.empty(0, dtype)).dtype, device=self._device)


def _size(parts: Sequence[Part]) -> tuple[int, int]:
    source = sum(part.source for part in parts)
    return source, sum(part.samples for part in parts) - source


class _Next:
    """A window that is loaded in the background."""

    def __init__(self, index: int, load: Callable[[int, Event], Window]) -> None:
        self.index, self._stopped = index, Event()
        self.window = begin(lambda: load(index, self._stopped), "bpkd-next-window")

    def stop(self) -> None:
        """Let go of it at the end of the part that is being read, and wait for that, though not for ever."""
        self._stopped.set()
        wait([self.window], PARTING)
