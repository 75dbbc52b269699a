"""A training pool over parts on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pipeline.distill.pool import Window
from pipeline.seeds import numpy_generator
from pipeline.shards.ahead import CopyAhead, read_ahead
from pipeline.shards.limits import sample_bytes
from pipeline.shards.parts import Part, group
from pipeline.shards.rows import RowFormat
from schemas.errors import BpkdError


class PartsPool:
    """Parts packed into windows of at most `memory_mb` of decoded samples.

    Args:
        parts: where the samples lie.
        rows: their format.
        memory_mb: of one window; a data set that fits is one window, shuffled as a whole. While a window is loaded,
            one part is in memory besides, and of remote parts the next few, see `pipeline.shards.ahead`.
        seed: of the packing.
        device: that the windows are on.
    """

    def __init__(
        self, parts: Sequence[Part], rows: RowFormat, *, memory_mb: int, seed: int, device: torch.device
    ) -> None:
        limit = max(1, memory_mb * 2**20 // sample_bytes(rows))
        self._rows, self._device = rows, device
        self._groups = group([part for part in parts if part.samples], limit, numpy_generator(seed, "windows"))
        self.sizes = [_size(parts) for parts in self._groups]
        self._copying = CopyAhead([])
        self._is_tensor = rows.kind_.dtype != np.dtype(object)

    def load(self, index: int) -> Window:
        """Window `index`.

        Raises:
            BpkdError: a part does not hold as many samples as it promised.
        """
        self._copying.stop()
        window = self._allocate(sum(self.sizes[index]))
        stored: Any = window.stored
        start = 0
        for part, rows in zip(self._groups[index], read_ahead(self._groups[index]), strict=True):
            if len(rows) != part.samples:
                raise BpkdError(f"{part} gave {len(rows)} samples, promised were {part.samples}")
            place = slice(start, start + len(rows))
            stored[place] = torch.from_numpy(rows.stored) if self._is_tensor else rows.stored
            window.logits[place] = rows.logits  # type: ignore[assignment]
            window.labels[place] = torch.from_numpy(rows.labels)
            window.is_source[place] = rows.is_source
            start = place.stop
        return window if self._is_tensor else replace(window, lengths=self._rows.kind_.lengths(stored))

    def expect(self, index: int) -> None:
        """Say that window `index` will be loaded next: its remote files are copied to the local disk meanwhile, where
        parts have a cache there."""
        self._copying.stop()
        self._copying = CopyAhead(self._groups[index])

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
