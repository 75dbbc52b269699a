"""What a batch is trained towards: the teacher's outputs, and labels where they are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pipeline.distill.losses.hard import cross_entropy, known, squared_error
from pipeline.distill.pool import Batch
from pipeline.logits import Logits

Loss = Callable[[torch.Tensor, Logits, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Criterion:
    """alpha * mean over the batch of the distillation loss + (1 - alpha) * mean over its labelled samples.

    The second part is cross-entropy, for regression squared error (arXiv 1503.02531, section 2). For a rank's part of
    a global batch the mean over the ranks of the loss, and of each part, is that of the global batch.

    Attributes:
        loss: per-sample distillation loss of (student logits, teacher logits, labels).
        alpha: weight of the teacher's outputs.
        regression: labels are numbers.
    """

    loss: Loss
    alpha: float
    regression: bool = False

    def __call__(self, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(loss to minimise, its parts for the metrics: distillation, label)."""
        zero = outputs.new_zeros(())
        soft = self.loss(outputs, batch.logits, self._classes(batch)).mean() * batch.weight if self.alpha > 0 else zero
        hard = self._hard(outputs, batch) if self.alpha < 1 else zero
        return self.alpha * soft + (1 - self.alpha) * hard, {"distillation": soft.detach(), "label": hard.detach()}

    def _hard(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        count = known(batch.labels).sum().clamp_min(1) if batch.labelled is None else batch.labelled
        if not self.regression:
            return cross_entropy(outputs, batch.labels).sum() / count
        # Data without labels have one column of unknown numbers, however many outputs there are.
        return squared_error(outputs, batch.labels.expand_as(outputs)).sum() / count

    def _classes(self, batch: Batch) -> torch.Tensor:
        return batch.labels.new_full((len(batch.labels),), -1).long() if self.regression else batch.labels
