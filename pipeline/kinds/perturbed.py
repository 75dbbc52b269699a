"""Perturbed text as columns and as files: tokens, and the shifts of their embeddings as a codec packs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.kinds.base import Arrays, Members, Stored
from pipeline.kinds.deltas import DeltaCodec, Field
from pipeline.kinds.ragged import (
    from_lists,
    from_npy_rows,
    is_blank,
    rows_with_null,
    to_lists,
    to_npy_rows,
    value_type,
)
from pipeline.text.sentences import Perturbed, Tokens
from schemas.errors import RowError

_IDS = Field("ids", np.dtype(np.int32), pa.int32(), wide=False)
_SEGMENTS = Field("segments", np.dtype(np.int8), pa.int8(), wide=False)
_NPY = "ids.npy"
"""int32 (2, n): ids, and segments below them."""


class PerturbedColumns:
    """The columns that are null for plain text, and the files that are empty for it.

    Args:
        delta: how shifts are packed.
    """

    def __init__(self, delta: DeltaCodec) -> None:
        self._delta = delta
        self._fields = (_IDS, _SEGMENTS, *delta.fields)
        self.names = tuple(field.name for field in self._fields)
        self.extensions = (_NPY, *(f"{field.name}.npy" for field in delta.fields))

    def arrow_types(self, width: int) -> dict[str, pa.DataType]:
        """For embeddings of `width` values."""
        return {field.name: pa.list_(value_type(field, width)) for field in self._fields}

    def to_columns(self, stored: Stored, width: int) -> Arrays:
        """N sentences -> columns of N rows."""
        rows = [self._pack(sentence.perturbed) for sentence in stored]
        return {field.name: to_lists([row.get(field.name) for row in rows], field, width) for field in self._fields}

    def from_columns(self, batch: pa.RecordBatch) -> Iterator[Perturbed | None]:
        """N rows without problems -> what is perturbed, None for plain text."""
        for row in self._rows(batch):
            tokens = Tokens(row[_IDS.name], row[_SEGMENTS.name])
            yield Perturbed(tokens, self._delta.unpack(row)) if len(tokens) else None

    def plain(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """bool (N,), which rows are plain text."""
        plain: npt.NDArray[np.bool_] = np.logical_and.reduce(self._missing(batch))
        return plain

    def problems(self, batch: pa.RecordBatch, longest: int) -> Iterator[tuple[int, str]]:
        """(row, what is wrong) of N rows, with at most `longest` tokens each."""
        missing = self._missing(batch)
        for row in np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)).tolist():
            yield row, f"has some of {', '.join(self.names)}, must have all or none"
        # A value that is null within a list would be read as anything.
        holes = [(row, field.name) for field in self._fields for row in rows_with_null(batch[field.name], field)]
        if holes:
            yield from ((row, f"has a null in its {name}") for row, name in holes)
            return
        for row, arrays in enumerate(self._rows(batch)):
            problem = None if missing[:, row].any() else self._wrong(arrays, longest)
            if problem is not None:
                yield row, problem

    def to_members(self, batch: pa.RecordBatch) -> Members:
        """N rows -> files."""
        ids = zip(from_lists(batch[_IDS.name], _IDS), from_lists(batch[_SEGMENTS.name], _SEGMENTS), strict=True)
        members = {_NPY: to_npy_rows([np.stack([first, second]).astype(_IDS.dtype) for first, second in ids])}
        for field in self._delta.fields:
            members[f"{field.name}.npy"] = to_npy_rows(from_lists(batch[field.name], field))
        return members

    def from_members(self, members: Members, width: int) -> Arrays:
        """Files -> columns, as `to_columns` makes them.

        Raises:
            RowError: a file holds something else.
        """
        both = from_npy_rows(members[_NPY], _IDS.dtype, (2, None))
        segments = [_segments(row, pair[1]) if pair.size else None for row, pair in enumerate(both)]
        columns = {
            _IDS.name: to_lists([pair[0] if pair.size else None for pair in both], _IDS, width),
            _SEGMENTS.name: to_lists(segments, _SEGMENTS, width),
        }
        for field in self._delta.fields:
            form = (None, width) if field.wide else (None,)
            arrays = from_npy_rows(members[f"{field.name}.npy"], field.dtype, form)
            shifts = [_shifts(array, pair, field) for array, pair in zip(arrays, both, strict=True)]
            columns[field.name] = to_lists(shifts, field, width)
        return columns

    def _missing(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """bool (columns, N), where there is null."""
        return np.array([batch[name].is_null().to_numpy(zero_copy_only=False) for name in self.names])

    def _pack(self, perturbed: Perturbed | None) -> dict[str, npt.NDArray[Any]]:
        """Field name -> array; empty for plain text."""
        if perturbed is None:
            return {}
        tokens = perturbed.tokens
        return {_IDS.name: tokens.ids, _SEGMENTS.name: tokens.segments, **self._delta.pack(perturbed.delta)}

    def _rows(self, batch: pa.RecordBatch) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """Field name -> array, for each of N rows."""
        columns = [from_lists(batch[field.name], field) for field in self._fields]
        for row in zip(*columns, strict=True):
            yield dict(zip(self.names, row, strict=True))

    def _wrong(self, arrays: Mapping[str, npt.NDArray[Any]], longest: int) -> str | None:
        """What is wrong with the tokens and shifts of one sample."""
        ids, segments = arrays[_IDS.name], arrays[_SEGMENTS.name]
        if not 0 < len(ids) <= longest:
            return f"{len(ids)} tokens, must be 1 to {longest}"
        if len(segments) != len(ids):
            return f"{len(ids)} ids and {len(segments)} segments"
        if ids.min() < 0 or not np.isin(segments, (-2, -1, 0, 1)).all():
            return "its ids or segments are none of tokens"
        real = int((segments >= 0).sum())
        for field in self._delta.fields:
            if len(arrays[field.name]) != real:
                return f"{len(arrays[field.name])} rows of {field.name} for {real} tokens"
        return None if np.isfinite(self._delta.unpack(arrays)).all() else "its perturbation is not finite"


def _segments(row: int, values: npt.NDArray[np.int32]) -> npt.NDArray[np.int8]:
    segments = values.astype(np.int8)
    if not np.array_equal(segments, values):
        raise RowError(row, "its segments are none of tokens")
    return segments


def _shifts(array: npt.NDArray[Any], pair: npt.NDArray[np.int32], field: Field) -> npt.NDArray[Any] | None:
    """What a file of a tar holds for the ids and segments `pair`; None for plain text."""
    if not (pair[1] >= 0).any() and is_blank(array, field):
        return array[:0] if pair.size else None
    return array
