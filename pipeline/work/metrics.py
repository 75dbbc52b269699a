"""Figures of a student against labels and teacher, gathered batch by batch with torchmetrics."""

from __future__ import annotations

from typing import Protocol

import torch
from torch.nn import functional


class Meter(Protocol):
    def update(self, teacher: torch.Tensor, student: torch.Tensor, labels: torch.Tensor) -> None:
        """(N, K) logits of both, and labels: (N,) with -1 unknown, or (N, T) with NaN unknown."""

    def compute(self) -> dict[str, float]:
        """All figures; those that need labels only where there were some."""


def make_meter(task: str, width: int) -> Meter:
    return ClassificationMeter(width) if task == "classification" else RegressionMeter(width)


class ClassificationMeter:
    """accuracy, agreement, gap (mean squared L2 of the logits), nll (nats), ece (15 bins, Naeini et al. 2015)."""

    def __init__(self, classes: int) -> None:
        # Imported here: it takes two seconds, which the other stages need not wait for.
        from torchmetrics import MeanMetric
        from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

        self._always = {"agreement": MulticlassAccuracy(classes, average="micro"), "gap": MeanMetric()}
        self._labelled = {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "nll": MeanMetric(),
            "ece": MulticlassCalibrationError(classes, n_bins=15),
        }
        self._known = 0

    def update(self, teacher: torch.Tensor, student: torch.Tensor, labels: torch.Tensor) -> None:
        self._always["agreement"].update(student, teacher.argmax(dim=1))
        self._always["gap"].update((teacher - student).square().sum(dim=1))
        known = labels >= 0
        if known.any():
            student, labels = student[known], labels[known]
            self._known += len(labels)
            self._labelled["accuracy"].update(student, labels)
            self._labelled["nll"].update(functional.cross_entropy(student, labels, reduction="none"))
            self._labelled["ece"].update(student.softmax(dim=1), labels)

    def compute(self) -> dict[str, float]:
        labelled = self._labelled if self._known else {}
        order = ("accuracy", "agreement", "gap", "nll", "ece")
        figures = {**self._always, **labelled}
        return {name: float(figures[name].compute()) for name in order if name in figures}


class RegressionMeter:
    """mse, mae and r2 against the labels, gap (mean squared L2 of the outputs) against the teacher."""

    def __init__(self, width: int) -> None:
        from torchmetrics import MeanMetric
        from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, R2Score

        self._gap = MeanMetric()
        self._labelled = {"mse": MeanSquaredError(), "mae": MeanAbsoluteError(), "r2": R2Score()}
        self._known = 0

    def update(self, teacher: torch.Tensor, student: torch.Tensor, labels: torch.Tensor) -> None:
        self._gap.update((teacher - student).square().sum(dim=1))
        known = ~labels.isnan().any(dim=1)
        if known.any():
            self._known += int(known.sum())
            for metric in self._labelled.values():
                metric.update(student[known].flatten(), labels[known].flatten())

    def compute(self) -> dict[str, float]:
        # R2 is not defined for a single number.
        names = [name for name in self._labelled if self._known > (1 if name == "r2" else 0)]
        return {**{name: float(self._labelled[name].compute()) for name in names}, "gap": float(self._gap.compute())}
