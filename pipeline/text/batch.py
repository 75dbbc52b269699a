"""Tokens of several samples as tensors: padded to the longest of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from pipeline.lazy import torch


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """N samples of at most L tokens.

    Attributes:
        ids: int64 (N, L).
        mask: int64 (N, L), 1 for tokens, 0 for padding.
        segments: int64 (N, L), 0 or 1; 0 for padding.
        real: bool (N, L), tokens of the texts themselves: neither special nor padding.
        delta: float32 (N, L, D), added to the token embeddings; None where all are as they are.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    segments: torch.Tensor
    real: torch.Tensor
    delta: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def with_delta(self, delta: torch.Tensor) -> Self:
        """The same tokens, shifted."""
        return replace(self, delta=delta)

    def to(self, device: torch.device | str) -> Self:
        return replace(
            self,
            ids=self.ids.to(device),
            mask=self.mask.to(device),
            segments=self.segments.to(device),
            real=self.real.to(device),
            delta=None if self.delta is None else self.delta.to(device),
        )
