"""The figures of every classifier."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import torch
from torch.nn import functional

from pipeline.metrics.base import BINS, Metric, computed


class ClassificationMeter:
    """accuracy, agreement, gap (mean squared L2 of the logits), nll (nats), ece (15 bins, Naeini et al. 2015), others.

    Args:
        classes: K.
        others: metrics by the name of their figure.
    """

    def __init__(self, classes: int, others: Mapping[str, Metric]) -> None:
        # Imported here: it takes two seconds, which the other stages need not wait for.
        from torchmetrics import MeanMetric
        from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

        mean = partial(MeanMetric, nan_strategy=math.nan)  # what is no number counts: a student may have diverged
        self._always = {
            "agreement": MulticlassAccuracy(classes, average="micro"),
            "gap": mean(),
        }
        self._labelled = {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "nll": mean(),
            "ece": MulticlassCalibrationError(classes, n_bins=BINS),
        }
        self._others = others
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
            for metric in self._others.values():
                metric.update(student, labels)

    def compute(self) -> dict[str, float]:
        labelled = self._labelled if self._known else {}
        order = ("accuracy", "agreement", "gap", "nll", "ece")
        figures = {**self._always, **labelled}
        usual = {name: float(figures[name].compute()) for name in order if name in figures}
        return {**usual, **computed(self._others, self._known)}
