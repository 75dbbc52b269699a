"""The label column of a data set: a class index, or numbers to regress on. What is unknown is null in Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.kinds.base import Members
from pipeline.npy import from_npys, to_npys
from pipeline.shards.masks import Wrong, true
from schemas.errors import RowError, UserError, clipped

_CLS = "cls"
_TARGET = "target.npy"
_LONGEST = 20
"""Bytes of one KEY.cls."""


class LabelColumn(Protocol):
    """Labels of N samples as an array, as an Arrow column and as files in a WebDataset tar."""

    extensions: tuple[str, ...]
    """Of the members in a tar; every sample has them."""

    feature: dict[str, Any] | None
    """For Hugging Face `datasets`, None where the Arrow type says it all."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    """Of one label in the array."""

    arrow_type: pa.DataType

    def encode(self, labels: npt.NDArray[Any]) -> pa.Array:
        """(N, *shape) -> column of N rows."""

    def wrong(self, column: pa.Array) -> Wrong:
        """Which of N rows have a label that none can be."""

    def decode(self, column: pa.Array) -> npt.NDArray[Any]:
        """Column of N rows -> (N, *shape).

        Raises:
            RowError: a label of another shape, or not finite.
        """

    def to_members(self, column: pa.Array) -> Members:
        """Column of N rows -> extension -> N files."""

    def from_members(self, members: Members) -> pa.Array:
        """What `to_members` gave -> the column.

        Raises:
            RowError: a file holds no such label.
        """


class ClassColumn:
    """int64 (N,), -1 where unknown; in a tar the index as text, with the same -1.

    Args:
        classes: how many there are.
        names: of the classes where known.
    """

    extensions: tuple[str, ...] = (_CLS,)
    dtype: np.dtype[Any] = np.dtype(np.int64)
    shape: tuple[int, ...] = ()
    arrow_type: pa.DataType = pa.int64()

    def __init__(self, classes: int, names: Sequence[str] | None = None) -> None:
        self._classes = classes
        self.feature: dict[str, Any] | None = {"_type": "ClassLabel", "names": list(names)} if names else None

    def encode(self, labels: npt.NDArray[Any]) -> pa.Array:
        return pa.array(labels, self.arrow_type, mask=labels < 0)

    def wrong(self, column: pa.Array) -> Wrong:
        outside = pc.or_(pc.less(column, 0), pc.greater_equal(column, self._classes))
        yield true(outside), f"its label is none of {self._classes} classes (0 to {self._classes - 1})"

    def decode(self, column: pa.Array) -> npt.NDArray[Any]:
        labels: npt.NDArray[Any] = column.fill_null(-1).to_numpy(zero_copy_only=False)
        return labels.copy()

    def to_members(self, column: pa.Array) -> Members:
        return {_CLS: [b"%d" % label for label in self.decode(column).tolist()]}

    def from_members(self, members: Members) -> pa.Array:
        labels = [_class_index(row, text) for row, text in enumerate(members[_CLS])]
        return self.encode(np.array(labels, self.dtype))


class TargetColumn:
    """float32 (N, width), NaN where unknown; null as a whole where all of a sample's numbers are."""

    extensions: tuple[str, ...] = (_TARGET,)
    feature: dict[str, Any] | None = None
    dtype: np.dtype[Any] = np.dtype(np.float32)

    def __init__(self, width: int) -> None:
        self.shape: tuple[int, ...] = (width,)
        # Not of fixed size: older versions of Arrow cannot read such a Parquet column with nulls among its rows.
        self.arrow_type: pa.DataType = pa.list_(pa.float32())

    def encode(self, labels: npt.NDArray[Any]) -> pa.Array:
        if np.isinf(labels).any():
            raise UserError("a label is beyond float32; scale the targets")
        unknown = np.isnan(labels)
        some = ~unknown.all(axis=1)
        values = pa.array(labels[some].reshape(-1), pa.float32(), mask=unknown[some].reshape(-1))
        ends = np.concatenate([[0], np.cumsum(some * labels.shape[1])]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), values, mask=pa.array(~some))

    def wrong(self, column: pa.Array) -> Wrong:
        yield (
            true(pc.not_equal(pc.list_value_length(column), self.shape[0])),
            f"its label is not {self.shape[0]} numbers",
        )
        # NaN stands for an unknown number.
        infinite = np.zeros(len(column), np.bool_)
        infinite[pc.list_parent_indices(column).filter(pc.is_inf(column.flatten())).to_numpy()] = True
        yield infinite, "its label is not finite"

    def decode(self, column: pa.Array) -> npt.NDArray[Any]:
        for mask, what in self.wrong(column):
            if mask.any():
                raise RowError(int(mask.argmax()), what)
        labels = np.full((len(column), *self.shape), np.nan, np.float32)
        known = column.is_valid().to_numpy(zero_copy_only=False)
        labels[known] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, *self.shape)
        return labels

    def to_members(self, column: pa.Array) -> Members:
        return {_TARGET: to_npys(self.decode(column))}

    def from_members(self, members: Members) -> pa.Array:
        return self.encode(from_npys(members[_TARGET], self.dtype, self.shape))


def _class_index(row: int, text: bytes) -> int:
    """A class index, -1 where unknown; only as `to_members` writes it."""
    try:
        label = int(text) if len(text) <= _LONGEST else -2
    except ValueError:
        label = -2
    if not -1 <= label < 2**63 or b"%d" % label != text:
        raise RowError(row, f"{_CLS} {clipped(text[:100].decode(errors='backslashreplace'))!r} is no class index")
    return label
