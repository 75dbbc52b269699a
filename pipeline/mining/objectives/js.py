from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from pipeline.mining.objectives.base import log_probabilities


@dataclass(frozen=True)
class JensenShannon:
    """tau^2 JS(softmax(T/tau), softmax(S/tau)): symmetric, and at most tau^2 log 2 (Lin 1991)."""

    temperature: float = 4.0

    def __call__(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        log_p = log_probabilities(teacher, self.temperature)
        log_q = log_probabilities(student, self.temperature)
        log_m = torch.logaddexp(log_p, log_q) - math.log(2)
        both = log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)
        return self.temperature**2 * both.sum(dim=-1) / 2
