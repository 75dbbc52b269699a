"""A training pool over parts on disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pipeline.distill.pool import Window
from pipeline.kinds.base import Kind
from pipeline.seeds import numpy_generator
from pipeline.shards.parts import Part, group
from pipeline.shards.rows import RowFormat


class PartsPool:
    """Parts packed into windows of at most `memory_mb` of decoded samples.

    Args:
        parts: where the samples lie.
        rows: their format.
        memory_mb: of one window; a data set that fits is one window, shuffled as a whole.
        seed: of the packing.
        device: that the windows are moved to.
    """

    def __init__(
        self, parts: Sequence[Part], rows: RowFormat, *, memory_mb: int, seed: int, device: torch.device
    ) -> None:
        per_sample = math.prod(rows.shape) * (1 if rows.kind_.column == "image" else 4) + 4 * rows.width + 16
        limit = max(1, memory_mb * 2**20 // per_sample)
        self._kind: Kind = rows.kind_
        self._device = device
        self._groups = group([part for part in parts if part.samples], limit, numpy_generator(seed, "windows"))
        self.sizes = [_size(parts) for parts in self._groups]

    def load(self, index: int) -> Window:
        pieces = [part.rows() for part in self._groups[index]]
        return Window(
            stored=_join([piece.stored for piece in pieces]).to(self._device),
            logits=torch.cat([piece.logits for piece in pieces]).to(self._device),
            labels=_join([piece.labels for piece in pieces]).to(self._device),
            is_source=np.concatenate([piece.is_source for piece in pieces]),
            to_inputs=self._to_inputs,
        )

    def _to_inputs(self, stored: torch.Tensor) -> torch.Tensor:
        return self._kind.to_inputs(stored)


def _size(parts: Sequence[Part]) -> tuple[int, int]:
    source = sum(part.source for part in parts)
    return source, sum(part.samples for part in parts) - source


def _join(arrays: Sequence[np.ndarray[Any, Any]]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(arrays))
