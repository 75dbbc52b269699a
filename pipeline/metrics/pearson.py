"""Pearson's correlation coefficient, as GLUE has it for STS-B."""

from __future__ import annotations

import math
import warnings

import torch


class Pearson:
    """Linear correlation of outputs and labels; of the first where there are several to a sample."""

    task = "regression"

    def __init__(self) -> None:
        from torchmetrics.regression import PearsonCorrCoef

        self._metric = PearsonCorrCoef().set_dtype(torch.float64)
        self._samples = 0

    def update(self, student: torch.Tensor, labels: torch.Tensor) -> None:
        self._metric.update(student[:, 0].double(), labels[:, 0].double())
        self._samples += len(labels)

    def compute(self) -> float | None:
        """None for a single sample."""
        if self._samples < 2:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that something is constant, which the 0 says
            value = float(self._metric.compute())
        return 0.0 if math.isnan(value) else value
