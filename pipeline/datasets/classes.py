"""Samples of a data set by class: by their label, and by what the teacher sees in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.logits import most_likely
from pipeline.shards.origins import SOURCE
from pipeline.shards.rows import RowFormat

COLUMNS = ("label", "teacher_logits", "origin")
"""That counting needs."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Samples of one class.

    Attributes:
        index, name: of the class; its index as text where it has no name.
        labelled: samples with this label.
        source, auxiliary: samples of this origin that the teacher sees in this class.
    """

    index: int
    name: str
    labelled: int
    source: int
    auxiliary: int


class ClassTally:
    """Adds up the samples of a classification, batch by batch."""

    def __init__(self) -> None:
        self._labelled: Counter[int] = Counter()
        self._source: Counter[int] = Counter()
        self._auxiliary: Counter[int] = Counter()

    def add(self, batch: pa.RecordBatch, rows: RowFormat) -> None:
        """Count a batch with `COLUMNS`.

        Raises:
            SampleError, ValueError: a label or logits are broken, or a label is no class.
        """
        labels = rows.labels_.decode(batch["label"])
        first = most_likely(rows.codec_.decode(batch["teacher_logits"])).numpy()
        if len(labels) and labels.max() >= rows.width:
            raise ValueError(f"label {labels.max()}, there are {rows.width} classes")
        own = pc.equal(batch["origin"], SOURCE).to_numpy(zero_copy_only=False)
        self._labelled.update(_histogram(labels[labels >= 0]))
        self._source.update(_histogram(first[own]))
        self._auxiliary.update(_histogram(first[~own]))

    def found(self) -> list[list[int]]:
        """Index, labelled, source, auxiliary of every class that has samples; JSON-like."""
        classes = sorted({*self._labelled, *self._source, *self._auxiliary})
        return [[index, self._labelled[index], self._source[index], self._auxiliary[index]] for index in classes]

    def take(self, found: Iterable[Sequence[int]]) -> None:
        """Add what another tally has `found`."""
        for index, labelled, source, auxiliary in found:
            self._labelled[index] += labelled
            self._source[index] += source
            self._auxiliary[index] += auxiliary

    def counts(self, names: Sequence[str]) -> list[ClassCounts]:
        """Every class that has a name or samples, in the order of the classes."""
        found = {index: counts for index, *counts in self.found()}
        indices = sorted({*range(len(names)), *found})
        return [ClassCounts(index, class_name(names, index), *found.get(index, [0, 0, 0])) for index in indices]


def class_name(names: Sequence[str], index: int) -> str:
    """Of a class, its index where it has none."""
    return names[index] if index < len(names) else str(index)


def _histogram(classes: npt.NDArray[Any]) -> dict[int, int]:
    values, counts = np.unique(classes, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))
