from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.mining.objectives.base import log_probabilities


@dataclass(frozen=True)
class KullbackLeibler:
    """tau^2 KL(softmax(T/tau) || softmax(S/tau)): what temperature distillation minimises (arXiv 1503.02531)."""

    temperature: float = 4.0

    def __call__(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        log_p = log_probabilities(teacher, self.temperature)
        log_q = log_probabilities(student, self.temperature)
        return self.temperature**2 * (log_p.exp() * (log_p - log_q)).sum(dim=-1)
