"""Decoupled knowledge distillation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.distill.losses.base import kl_divergence, require_positive, require_weight, softened
from pipeline.logits import Logits, SparseLogits
from schemas.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Decoupled:
    """T² · (alpha · TCKD + beta · NCKD) (Zhao et al., CVPR 2022, arXiv 2203.08679).

    TCKD is the KL divergence of (target, all the rest), NCKD that among the classes other than the target. Plain KL is
    TCKD + (1 - p_target) · NCKD, which mutes NCKD just where the teacher is sure. The target is the label or, where it
    is unknown, the teacher's most probable class. With two classes NCKD is 0.

    Args:
        alpha: weight of TCKD, 0 or above.
        beta: weight of NCKD, 0 or above; the paper takes 0.5 to 10, more for surer teachers.
        temperature: T, above 0.
    """

    alpha: float = 1.0
    beta: float = 8.0
    temperature: float = 4.0

    def __post_init__(self) -> None:
        require_weight(self.alpha, "alpha")
        require_weight(self.beta, "beta")
        require_positive(self.temperature, "temperature")

    def __call__(self, student: Tensor, teacher: Logits, labels: Tensor) -> Tensor:
        if student.shape[1] < 2:
            raise UserError(f'loss "dkd" needs at least 2 classes, got {student.shape[1]}; use "mse"')
        s, t = softened(student, teacher, self.temperature)
        if isinstance(teacher, SparseLogits):
            labels = teacher.positions(labels)
        target = torch.where(labels >= 0, labels, t.argmax(1))[:, None]
        target_s, others_s = _split(s, target)
        target_t, others_t = _split(t, target)
        tckd = kl_divergence(_binary(target_t, others_t), _binary(target_s, others_s))
        nckd = kl_divergence(others_t.log_softmax(1), others_s.log_softmax(1))
        return self.temperature**2 * (self.alpha * tckd + self.beta * nckd)


def _split(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The target's logit (N, 1) and those of the other classes (N, K - 1), for `target` (N, 1)."""
    column = torch.arange(logits.shape[1] - 1, device=logits.device)
    # Other columns are gathered, not masked with a large negative number, which would have to beat any logit.
    return logits.gather(1, target), logits.gather(1, column + (column >= target))


def _binary(target: Tensor, others: Tensor) -> Tensor:
    """Log probabilities (N, 2) of the target and of all other classes together."""
    return torch.cat([target, others.logsumexp(1, keepdim=True)], 1).log_softmax(1)
