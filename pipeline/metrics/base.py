"""What every metric of `data.metrics` provides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch

BINS = 15
"""Of the calibration, in `ece` and in a report."""


class Metric(Protocol):
    """One figure of the student against the labels, gathered batch by batch.

    A metric that is a ratio of which both parts are zero (an F1 without positives, a correlation with something
    constant) is 0, so that a run that went wrong still compares with others. A new metric is a class in a file of this
    folder, built with `width`, the number K of the model's outputs, if it takes that, and a line in
    `schemas.registry.METRICS`.
    """

    task: str
    """classification or regression."""

    def update(self, student: torch.Tensor, labels: torch.Tensor) -> None:
        """(N, K) outputs of the student for N > 0 samples, and their known labels: int64 (N,) or float32 (N, K)."""

    def compute(self) -> float | None:
        """After at least one update; None where so few samples tell nothing."""


def computed(metrics: Mapping[str, Metric], known: int) -> dict[str, float]:
    """What metrics say that were given `known` samples; those that say nothing are left out."""
    figures = {name: metric.compute() for name, metric in metrics.items()} if known else {}
    return {name: value for name, value in figures.items() if value is not None}
