"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch


def adamw(parameters: Iterable[torch.nn.Parameter], lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW (arXiv 1711.05101)."""
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)


def sgd(
    parameters: Iterable[torch.nn.Parameter], lr: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, plain when momentum is 0."""
    return torch.optim.SGD(parameters, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=momentum > 0)


def make_optimizer(
    name: str, parameters: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    if name == "sgd":
        return sgd(parameters, lr, weight_decay, momentum)
    return adamw(parameters, lr, weight_decay)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
}


def learning_rate(schedule: str, done: float, *, peak: float, warmup: float) -> float:
    """Rate at a point of the budget.

    Args:
        schedule: name in SCHEDULES, followed after the warm-up.
        done: share of the budget that is spent, 0 to 1.
        peak: largest rate.
        warmup: share of the budget over which the rate rises linearly from 0.
    """
    if done < warmup:
        return peak * done / warmup
    return peak * SCHEDULES[schedule]((done - warmup) / (1 - warmup) if warmup < 1 else 1.0)
