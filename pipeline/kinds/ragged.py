"""Arrays whose length differs from sample to sample, as Arrow lists and as `.npy` files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.kinds.deltas import Field
from pipeline.npy import from_npy, to_npy
from schemas.errors import RowError, clipped

Array = npt.NDArray[Any]


def value_type(field: Field, width: int) -> pa.DataType:
    """Arrow type of what a token has in a field: one value, or `width` of them."""
    return pa.list_(field.arrow, width) if field.wide else field.arrow


def to_lists(rows: Sequence[Array | None], field: Field, width: int) -> pa.Array:
    """N arrays (n,), or (n, width) where the field is wide -> column of N lists; None becomes null."""
    missing = np.array([row is None for row in rows], np.bool_)
    ends = np.cumsum([0, *(0 if row is None else len(row) for row in rows)])
    flat = np.concatenate([np.empty(0, field.dtype), *(row.reshape(-1) for row in rows if row is not None)])
    values = pa.array(flat, field.arrow)
    if field.wide:
        values = pa.FixedSizeListArray.from_arrays(values, width)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values, mask=pa.array(missing))


def from_lists(column: pa.Array, field: Field) -> list[Array]:
    """What `to_lists` gave -> N arrays in memory of their own; null becomes an array without tokens."""
    values = column.flatten()
    width = values.type.list_size if field.wide else 1
    flat = (values.flatten() if field.wide else values).to_numpy(zero_copy_only=False).astype(field.dtype)
    flat = flat.reshape(-1, width) if field.wide else flat
    ends = np.cumsum(_lengths(column))
    return np.split(flat, ends[:-1]) if len(ends) else []


def rows_with_null(column: pa.Array, field: Field) -> list[int]:
    """Rows of N lists in which there is a value that is null; none for a list that is null as a whole."""
    values = column.flatten()
    null = values.is_null().to_numpy(zero_copy_only=False)
    if field.wide:
        inner = values.flatten().is_null().to_numpy(zero_copy_only=False)
        # What is null as a whole is left out of the flat values.
        null[~null] = inner.reshape(-1, values.type.list_size).any(axis=1)
    rows: list[int] = np.unique(pc.list_parent_indices(column).to_numpy(zero_copy_only=False)[null]).tolist()
    return rows


def _lengths(column: pa.Array) -> npt.NDArray[np.int64]:
    """Lengths of N lists, 0 for null."""
    counted: npt.NDArray[np.int64] = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return counted.astype(np.int64)


def to_npy_rows(rows: Sequence[Array]) -> list[bytes]:
    """N arrays, (n,) or (n, width) -> `.npy` files.

    Hugging Face `datasets` cannot tell the type of a table without rows, so one of zeros stands for it.
    """
    return [to_npy(np.zeros((1, *row.shape[1:]), row.dtype) if row.ndim > 1 and not len(row) else row) for row in rows]


def is_blank(array: Array, field: Field) -> bool:
    """Whether this is what `to_npy_rows` writes for an array without tokens."""
    return len(array) == 1 and not array.any() if field.wide else not len(array)


def from_npy_rows(files: Sequence[bytes], dtype: np.dtype[Any], form: tuple[int | None, ...]) -> list[Array]:
    """N `.npy` files -> arrays of `dtype` and of the shape `form`, in which None is any length.

    Raises:
        RowError: a file is broken, or holds something else.
    """
    arrays = []
    for row, file in enumerate(files):
        try:
            array = from_npy(file)
        except ValueError as error:
            raise RowError(row, f"broken .npy: {error}") from None
        fits = array.ndim == len(form) and all(size in (None, n) for size, n in zip(form, array.shape, strict=True))
        if array.dtype != dtype or not fits:
            takes = ", ".join("n" if size is None else str(size) for size in form)
            raise RowError(row, f"{clipped(f'{array.dtype} {array.shape}')}, must be {dtype} ({takes})")
        arrays.append(array)
    return arrays
