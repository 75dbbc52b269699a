"""All figures of a student against labels and teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from pipeline.metrics.classification import ClassificationMeter
from pipeline.metrics.regression import RegressionMeter
from schemas.errors import UserError
from schemas.registry import METRICS


class Meter(Protocol):
    def update(self, teacher: torch.Tensor, student: torch.Tensor, labels: torch.Tensor) -> None:
        """(N, K) logits of both, and labels: (N,) with -1 unknown, or (N, T) with NaN unknown."""

    def compute(self) -> dict[str, float]:
        """All figures; those that need labels only where there were some."""


def make_meter(task: str, width: int, metrics: Sequence[str] = ()) -> Meter:
    """The meter of a task.

    Args:
        task: classification or regression.
        width: K, outputs of the models.
        metrics: names in METRICS, which are those of the figures too; or `package.module:Name`, figure Name.

    Raises:
        UserError: a metric that is not for this task.
    """
    check_metrics(task, metrics)
    others = {name.rpartition(":")[2]: METRICS.build(name, width=width) for name in metrics}
    return ClassificationMeter(width, others) if task == "classification" else RegressionMeter(others)


def check_metrics(task: str, metrics: Sequence[str]) -> None:
    """Raise UserError unless every metric is for `task`."""
    for name in metrics:
        other = METRICS.load(name).task
        if other != task:
            fits = ", ".join(known for known in METRICS.names if METRICS.load(known).task == task)
            raise UserError(f'data.metrics: {name} is for {other}; data.task = "{task}" takes {fits}')
