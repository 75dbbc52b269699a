"""Jensen-Shannon divergence between softened class probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.distill.losses.base import kl_divergence, require_positive, softened
from pipeline.logits import Logits


@dataclass(frozen=True, kw_only=True)
class JensenShannon:
    """T² · (½ KL(p || m) + ½ KL(q || m)), p and q the two softmaxes at temperature T, m = (p + q) / 2 (Lin 1991).

    Symmetric, and bounded by T² · log 2, so that single samples with extreme logits cannot dominate a batch.

    Args:
        temperature: T, above 0.
    """

    temperature: float = 4.0

    def __post_init__(self) -> None:
        require_positive(self.temperature, "temperature")

    def __call__(self, student: Tensor, teacher: Logits, labels: Tensor) -> Tensor:
        log_s, log_t = (logits.log_softmax(1) for logits in softened(student, teacher, self.temperature))
        log_m = torch.logaddexp(log_s, log_t) - math.log(2)
        return self.temperature**2 * (kl_divergence(log_t, log_m) + kl_divergence(log_s, log_m)) / 2
