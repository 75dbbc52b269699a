"""Answers: what teacher and student say of every held-out sample, one Parquet table for each chunk of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.lazy import torch
from pipeline.shards.limits import Extent
from pipeline.shards.parquet import read_parquet, table_to_parquet


@dataclass(frozen=True)
class AnswersFormat:
    """What such a table holds.

    Of a classification `key`, `label` (int32, null where unknown), `teacher` and `student` (int32, the most likely
    class), and how likely each holds its own answer, `teacher_confidence` and `student_confidence` (float32). Of a
    regression `key`, and as lists of float32 `label` (null where unknown), `teacher` and `student`. Of both `gap`
    (float32), the squared L2 distance of the outputs.

    Attributes:
        task: classification or regression.
        width: K, outputs of a model.
    """

    task: Literal["classification", "regression"]
    width: int

    @cached_property
    def schema(self) -> pa.Schema:
        answer = pa.int32() if self.task == "classification" else pa.list_(pa.float32())
        names = {"key": pa.string(), "label": answer, "teacher": answer, "student": answer}
        if self.task == "classification":
            names |= {"teacher_confidence": pa.float32(), "student_confidence": pa.float32()}
        return pa.schema({**names, "gap": pa.float32()})

    @property
    def extent(self) -> Extent:
        """What a row takes."""
        numbers = 1 if self.task == "classification" else self.width
        return Extent(12 * numbers + 16, numbers)

    def table(
        self, keys: Sequence[str], labels: npt.NDArray[Any], teacher: torch.Tensor, student: torch.Tensor
    ) -> pa.Table:
        """The answers to N samples.

        Args:
            keys: of the samples.
            labels: int64 (N,), -1 where unknown; for regression float32 (N, K), NaN where unknown.
            teacher, student: (N, K) float32 outputs.
        """
        columns: dict[str, pa.Array] = {"key": pa.array(keys, pa.string())}
        if self.task == "classification":
            columns["label"] = pa.array(labels, pa.int32(), mask=labels < 0)
            for name, logits in (("teacher", teacher), ("student", student)):
                confidence, first = logits.softmax(dim=1).max(dim=1)
                columns[name] = pa.array(first.numpy(), pa.int32())
                columns[f"{name}_confidence"] = pa.array(confidence.numpy())
        else:
            known = [None if np.isnan(label).any() else label for label in labels]
            columns["label"] = pa.array(known, pa.list_(pa.float32()))
            for name, outputs in (("teacher", teacher), ("student", student)):
                columns[name] = pa.array(list(outputs.numpy()), pa.list_(pa.float32()))
        columns["gap"] = pa.array((teacher - student).square().sum(dim=1).numpy())
        return pa.table({name: columns[name] for name in self.schema.names}, schema=self.schema)

    def write(self, table: pa.Table) -> bytes:
        return table_to_parquet(table)

    def read(self, data: bytes, samples: int) -> pa.Table:
        """The table of so many samples in the bytes of a file, which anyone may have made.

        Raises:
            UserError: the bytes are not such a file, or more than one may be.
        """
        return read_parquet(data, self.schema, self.extent, samples)
