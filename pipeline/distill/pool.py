"""What a student is trained on, in windows that fit in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from pipeline.distill.losses.hard import known
from pipeline.logits import Logits


@dataclass(frozen=True)
class Batch:
    """One optimiser step's samples: B inputs as a model takes them, logits of B, labels (B,) or (B, T).

    Attributes:
        weight: what the mean over these samples counts for: 1, for a rank's part of a global batch its share of the
            samples times the number of ranks, as the mean over the ranks is taken.
        labelled: () what the sum over these labels is divided by; None for the number of those that are known.
    """

    inputs: Any
    logits: Logits
    labels: torch.Tensor
    weight: float = 1.0
    labelled: torch.Tensor | None = None


@dataclass(frozen=True)
class Window:
    """Decoded samples held in memory together, on the training device.

    Attributes:
        stored: (N, ...) samples in stored form, a quarter of the size of an image's inputs; objects stay an array.
        logits: of N.
        labels: int64 (N,), -1 unknown; for regression float32 (N, T), NaN unknown.
        is_source: bool (N,).
        to_inputs: stored batch -> inputs.
        lengths: (N,) by which samples go together in a batch; None where all are alike.
    """

    stored: torch.Tensor | npt.NDArray[Any]
    logits: Logits
    labels: torch.Tensor
    is_source: npt.NDArray[np.bool_]
    to_inputs: Callable[[Any], Any]
    lengths: npt.NDArray[np.int64] | None = None

    def batch(self, indices: npt.NDArray[Any], rank: int = 0, ranks: int = 1) -> Batch:
        """What rank `rank` of `ranks` takes of the global batch `indices`: every `ranks`-th sample.

        The mean over the ranks of the loss is then that of the global batch. A rank for which no sample is left takes
        one that counts for nothing, as it has to take part in the step.
        """
        if ranks == 1:
            return self._take(indices)
        own = indices[rank::ranks]
        labelled = known(self.labels[torch.from_numpy(indices).to(self.labels.device)]).sum().clamp_min(1) / ranks
        batch = self._take(own if len(own) else indices[:1])
        labels = batch.labels if len(own) else _unknown(batch.labels)
        return replace(batch, labels=labels, weight=len(own) * ranks / len(indices), labelled=labelled)

    def _take(self, indices: npt.NDArray[Any]) -> Batch:
        chosen = torch.from_numpy(indices).to(self.logits.device)
        stored = self.stored[chosen] if isinstance(self.stored, torch.Tensor) else self.stored[indices]
        return Batch(self.to_inputs(stored), self.logits[chosen], self.labels[chosen])


def _unknown(labels: torch.Tensor) -> torch.Tensor:
    return torch.full_like(labels, math.nan if labels.is_floating_point() else -1)


class Pool(Protocol):
    """Windows of a training set; their sizes are known before they are loaded."""

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """(source samples, auxiliary samples) of each window."""

    def load(self, index: int, following: int | None = None) -> Window:
        """Window `index`; the one before is no longer held. Called once per epoch, or once at all when there is only
        one.

        Args:
            index: of the window.
            following: of the one that will be loaded next, which may be begun. What goes wrong with it is raised when
                it is loaded.
        """

    def stop(self) -> None:
        """Say that nothing will be loaded next after all."""
