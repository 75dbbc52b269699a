"""Mean squared difference of logits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pipeline.distill.losses.base import full_precision
from pipeline.logits import Logits, SparseLogits


@dataclass(frozen=True, kw_only=True)
class MeanSquaredError:
    """mean over K of (s - t)² (Ba and Caruana 2014, arXiv 1312.6184). The loss for regression too."""

    def __call__(self, student: Tensor, teacher: Logits, labels: Tensor) -> Tensor:
        if isinstance(teacher, SparseLogits):
            return teacher.squared_error(full_precision(student))
        return (full_precision(student) - full_precision(teacher)).square().mean(1)
