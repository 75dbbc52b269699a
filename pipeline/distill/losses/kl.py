"""Kullback-Leibler divergence between softened class probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pipeline.distill.losses.base import kl_divergence, require_positive, softened
from pipeline.logits import Logits


@dataclass(frozen=True, kw_only=True)
class KullbackLeibler:
    """T² · KL(softmax(t / T) || softmax(s / T)) (Hinton et al. 2015, arXiv 1503.02531).

    The factor T² keeps the size of the gradient independent of the temperature.

    Args:
        temperature: T, above 0; 4 is common for distillation.
    """

    temperature: float = 4.0

    def __post_init__(self) -> None:
        require_positive(self.temperature, "temperature")

    def __call__(self, student: Tensor, teacher: Logits, labels: Tensor) -> Tensor:
        s, t = softened(student, teacher, self.temperature)
        return self.temperature**2 * kl_divergence(t.log_softmax(1), s.log_softmax(1))
