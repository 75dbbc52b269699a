"""The figures of every regression."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from pipeline.metrics.base import Metric, computed


class RegressionMeter:
    """mse, mae and r2 against the labels, gap (mean squared L2 of the outputs) against the teacher, and others.

    Args:
        others: metrics by the name of their figure.
    """

    def __init__(self, others: Mapping[str, Metric]) -> None:
        from torchmetrics import MeanMetric
        from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, R2Score

        self._gap = MeanMetric(nan_strategy=math.nan)  # what is no number counts: a student may have diverged
        self._labelled = {"mse": MeanSquaredError(), "mae": MeanAbsoluteError(), "r2": R2Score()}
        self._others = others
        self._known = 0

    def update(self, teacher: torch.Tensor, student: torch.Tensor, labels: torch.Tensor) -> None:
        self._gap.update((teacher - student).square().sum(dim=1))
        known = ~labels.isnan().any(dim=1)
        if known.any():
            self._known += int(known.sum())
            for metric in self._labelled.values():
                metric.update(student[known].flatten(), labels[known].flatten())
            for other in self._others.values():
                other.update(student[known], labels[known])

    def compute(self) -> dict[str, float]:
        # R2 is not defined for a single number.
        names = [name for name in self._labelled if self._known > (1 if name == "r2" else 0)]
        usual = {name: float(self._labelled[name].compute()) for name in names}
        return {**usual, "gap": float(self._gap.compute()), **computed(self._others, self._known)}
