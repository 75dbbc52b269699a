"""What a student is trained on, in windows that fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch


@dataclass(frozen=True)
class Batch:
    """One optimiser step's samples: B inputs as a model takes them, logits (B, K), labels (B,) or (B, T)."""

    inputs: Any
    logits: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Window:
    """Decoded samples held in memory together, on the training device.

    Attributes:
        stored: (N, ...) samples in stored form, a quarter of the size of an image's inputs; objects stay an array.
        logits: (N, K) float32.
        labels: int64 (N,), -1 unknown; for regression float32 (N, T), NaN unknown.
        is_source: bool (N,).
        to_inputs: stored batch -> inputs.
        lengths: (N,) by which samples go together in a batch; None where all are alike.
    """

    stored: torch.Tensor | npt.NDArray[Any]
    logits: torch.Tensor
    labels: torch.Tensor
    is_source: npt.NDArray[np.bool_]
    to_inputs: Callable[[Any], Any]
    lengths: npt.NDArray[np.int64] | None = None

    def batch(self, indices: npt.NDArray[Any]) -> Batch:
        chosen = torch.from_numpy(indices).to(self.logits.device)
        stored = self.stored[chosen] if isinstance(self.stored, torch.Tensor) else self.stored[indices]
        return Batch(self.to_inputs(stored), self.logits[chosen], self.labels[chosen])


class Pool(Protocol):
    """Windows of a training set; their sizes are known before they are loaded."""

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """(source samples, auxiliary samples) of each window."""

    def load(self, index: int) -> Window:
        """Window `index`; called once per epoch, or once at all when there is only one."""
