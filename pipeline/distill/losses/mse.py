"""Mean squared difference of logits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pipeline.distill.losses.base import full_precision


@dataclass(frozen=True, kw_only=True)
class MeanSquaredError:
    """mean over K of (s - t)² (Ba and Caruana 2014, arXiv 1312.6184). The loss for regression too."""

    def __call__(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        return (full_precision(student) - full_precision(teacher)).square().mean(1)
