"""What an objective is."""

from __future__ import annotations

from typing import Protocol

import torch


class Objective(Protocol):
    """What a climb goes up: the disagreement of two models' outputs, one number per sample, never negative.

    It is 0 where they agree, but for `student`, which is there for comparison and looks at one of them.

    A new objective is a class in a file of this folder and a line in `schemas.registry.OBJECTIVES`. What its
    constructor takes by keyword is filled from the `[mine]` section: `temperature` so far.
    """

    def __call__(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        """(N, K) teacher logits and (N, K) student logits, same dtype -> (N,) gaps, differentiable in both."""


def log_probabilities(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Log of the softmax at a temperature, (N, K) -> (N, K)."""
    return torch.log_softmax(logits / temperature, dim=-1)
