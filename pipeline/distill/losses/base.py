"""What every distillation loss provides, and the arithmetic that they share."""

from __future__ import annotations

import math
from typing import Protocol, TypeGuard

import torch
from torch import Tensor

from pipeline.logits import Logits, SparseLogits
from schemas.errors import UserError


class Loss(Protocol):
    """A distillation loss; its options are keyword arguments of its constructor."""

    def __call__(self, student: Tensor, teacher: Logits, labels: Tensor) -> Tensor:
        """One loss per sample, never averaged over the batch.

        Args:
            student: (N, K) floating logits; the gradient flows through these.
            teacher: (N, K) floating logits, or logits of some of the classes.
            labels: (N,) int64 class indices, -1 where unknown.

        Returns:
            (N,) losses: float32, or float64 if either input is.
        """


def full_precision(logits: Tensor) -> Tensor:
    """`logits` as float32, or unchanged when they are float64."""
    return logits if logits.dtype == torch.float64 else logits.float()


def softened(student: Tensor, teacher: Logits, temperature: float) -> tuple[Tensor, Tensor]:
    """Logits of both divided by the temperature, (N, K); or (N, k + 1): the k classes that the teacher has, and all
    others as one.
    """
    if isinstance(teacher, SparseLogits):
        return teacher.reduced(full_precision(student), temperature)
    return full_precision(student) / temperature, full_precision(teacher) / temperature


def kl_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) in nats over the last dimension, from log probabilities. Finite wherever both logarithms are."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def require_positive(value: object, option: str) -> None:
    """Refuse a loss option that is no finite number above 0.

    Raises:
        UserError: names the option and what it got.
    """
    if not (_is_number(value) and value > 0):
        raise UserError(f"loss option {option} = {value!r}: takes a number above 0")


def require_weight(value: object, option: str) -> None:
    """Refuse a loss option that is no finite number of at least 0.

    Raises:
        UserError: names the option and what it got.
    """
    if not (_is_number(value) and value >= 0):
        raise UserError(f"loss option {option} = {value!r}: takes a number, 0 or above")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
