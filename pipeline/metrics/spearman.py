"""Spearman's rank correlation coefficient, as GLUE has it for STS-B."""

from __future__ import annotations

import math

import polars as pl
import torch


class Spearman:
    """Correlation of the ranks of outputs and labels, equal ones sharing their mean rank (Spearman 1904).

    Of the first output where there are several to a sample. Holds 8 bytes per sample.
    """

    task = "regression"

    def __init__(self) -> None:
        self._student: list[torch.Tensor] = []
        self._labels: list[torch.Tensor] = []

    def update(self, student: torch.Tensor, labels: torch.Tensor) -> None:
        self._student.append(student[:, 0].float().cpu())
        self._labels.append(labels[:, 0].float().cpu())

    def compute(self) -> float | None:
        """None for a single sample."""
        # Not torchmetrics': its 32-bit sums of ranks overflow where 65,536 samples or more share one label.
        columns = (pl.Series(torch.cat(values).numpy()) for values in (self._student, self._labels))
        student, labels = (column.cast(pl.Float64) for column in columns)
        if len(labels) < 2:
            return None
        value = float(pl.select(pl.corr(student, labels, method="spearman")).item())
        return 0.0 if math.isnan(value) else value
