from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class SquaredL2:
    """||T(x) - S(x)||^2 on the logits: the paper's objective (arXiv 2301.12006)."""

    def __call__(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        return (teacher - student).square().sum(dim=-1)
