"""Matthews' correlation coefficient, as GLUE has it for CoLA."""

from __future__ import annotations

import torch


class Matthews:
    """Correlation of predicted and true classes, for any number of them (Matthews 1975, Gorodkin 2004)."""

    task = "classification"

    def __init__(self, width: int) -> None:
        from torchmetrics.classification import MulticlassConfusionMatrix

        self._counts = MulticlassConfusionMatrix(width)

    def update(self, student: torch.Tensor, labels: torch.Tensor) -> None:
        self._counts.update(student.argmax(dim=1), labels)

    def compute(self) -> float:
        # From the counts: torchmetrics' own coefficient of a constant prediction is a number other than 0.
        counts = self._counts.compute().double()
        true, predicted, samples = counts.sum(dim=1), counts.sum(dim=0), counts.sum()
        shared = counts.trace() * samples - true @ predicted
        spread = (samples**2 - true @ true) * (samples**2 - predicted @ predicted)
        return float(shared / spread.sqrt()) if spread > 0 else 0.0
