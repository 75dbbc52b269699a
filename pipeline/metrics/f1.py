"""F1, as GLUE has it for MRPC and QQP."""

from __future__ import annotations

import torch


class F1:
    """Harmonic mean of precision and recall (van Rijsbergen 1979).

    That of class 1 where there are two classes; else the mean over the classes that labels or predictions have.
    """

    task = "classification"

    def __init__(self, width: int) -> None:
        from torchmetrics.classification import BinaryF1Score, MulticlassF1Score

        self._metric = BinaryF1Score() if width == 2 else MulticlassF1Score(width, average="macro")

    def update(self, student: torch.Tensor, labels: torch.Tensor) -> None:
        self._metric.update(student.argmax(dim=1), labels)

    def compute(self) -> float:
        return float(self._metric.compute())
