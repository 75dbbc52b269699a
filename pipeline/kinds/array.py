"""Arrays: float32 vectors, for tables of features and for regression."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.kinds.base import Arrays, Members, Stored, tried
from pipeline.lazy import torch
from pipeline.npy import from_npy, from_npys, to_npys
from schemas.errors import RowError, SampleError

_NPY = "input.npy"
_NOT_FINITE = "holds a value that is missing or not finite"


class ArrayKind:
    """Vectors of D finite numbers; stored as float32 (D,)."""

    column = "tensor"
    mined: Sequence[str] = ()
    features: Mapping[str, dict[str, Any]] = {}
    dtype: np.dtype[Any] = np.dtype(np.float32)
    natural_bounds: tuple[float, float] | None = None

    def decode(self, payload: Any) -> Stored:
        """Numbers in one dimension (a single number is a vector of one), or the bytes of a `.npy` file with them.

        Raises:
            SampleError: not numbers, not finite, or of more than one dimension.
        """
        if isinstance(payload, SampleError):
            raise payload
        if isinstance(payload, bytes | bytearray | memoryview):
            try:
                payload = from_npy(bytes(payload))
            except ValueError as error:
                raise SampleError(f"broken .npy: {error}") from None
        values = _numbers(payload)
        if values.ndim > 1 or not values.size:
            raise SampleError(f"shape {values.shape}; arrays are vectors with at least one number")
        with np.errstate(over="ignore"):
            vector = np.array(values.reshape(-1), np.float32)
        if not np.isfinite(vector).all():
            raise SampleError("holds a value that is missing or not a finite float32")
        return vector

    def decode_all(self, payloads: Sequence[Any], shape: tuple[int, ...]) -> Iterator[Stored | SampleError]:
        return (tried(self.decode, payload) for payload in payloads)

    def shape_of(self, sample: Stored) -> tuple[int, ...]:
        return sample.shape

    def stack(self, samples: Sequence[Stored]) -> Stored:
        return np.stack(samples)

    def to_inputs(self, stored: Stored | torch.Tensor) -> torch.Tensor:
        """float32 (N, D) -> a copy of the same."""
        if isinstance(stored, torch.Tensor):
            return stored.to(torch.float32, copy=True)
        return torch.tensor(stored, dtype=torch.float32)

    def to_stored(self, inputs: torch.Tensor) -> Stored:
        """float (N, D) -> a copy as float32."""
        vectors: npt.NDArray[np.float32] = inputs.detach().to("cpu", torch.float32, copy=True).numpy()
        return vectors

    def lengths(self, stored: Stored) -> None:
        return None

    def observe(self, stored: Stored) -> dict[str, list[float]]:
        return {"low": stored.min(axis=0).tolist(), "high": stored.max(axis=0).tolist()}

    def blank(self, shape: tuple[int, ...]) -> Stored:
        return np.zeros((1, *shape), self.dtype)

    def arrow_types(self, shape: tuple[int, ...]) -> dict[str, pa.DataType]:
        return {self.column: pa.list_(pa.float32(), shape[0])}

    def to_columns(self, keys: Sequence[str], stored: Stored, shape: tuple[int, ...]) -> Arrays:
        values = pa.array(stored.reshape(-1), pa.float32())
        return {self.column: pa.FixedSizeListArray.from_arrays(values, stored.shape[1])}

    def from_columns(self, batch: pa.RecordBatch, shape: tuple[int, ...]) -> Stored:
        vectors = _vectors(batch[self.column], shape).astype(np.float32)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            raise RowError(int(finite.argmin()), _NOT_FINITE)
        return vectors

    def problems(self, batch: pa.RecordBatch, shape: tuple[int, ...]) -> Iterator[tuple[int, str]]:
        column = batch[self.column]
        present = np.flatnonzero(column.is_valid())
        finite = np.isfinite(_vectors(column.drop_null(), shape)).all(axis=1)
        for row in present[~finite].tolist():
            yield row, _NOT_FINITE

    def extensions(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        return (_NPY,)

    def to_members(self, batch: pa.RecordBatch) -> Members:
        return {_NPY: to_npys(self.from_columns(batch, (batch[self.column].type.list_size,)))}

    def from_members(self, keys: Sequence[str], members: Members, shape: tuple[int, ...]) -> Arrays:
        return self.to_columns(keys, from_npys(members[_NPY], self.dtype, shape), shape)

    def bytes_per_sample(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape) * self.dtype.itemsize

    def values_per_sample(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape)

    def fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == 1

    def describe(self, shape: tuple[int, ...]) -> str:
        return f"a vector of {shape[0]}"


def _vectors(column: pa.Array, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """(N, D) of a column of N rows, none of them null; a number that is null is NaN."""
    values: npt.NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, *shape)


def _numbers(payload: Any) -> npt.NDArray[Any]:
    try:
        values = np.asarray(payload)
        # A list with None in it becomes an array of objects; None then becomes NaN.
        values = values.astype(np.float64) if values.dtype.kind == "O" else values
    except (ValueError, TypeError):
        raise SampleError("not a vector of numbers") from None
    if values.dtype.kind not in "biuf":
        raise SampleError(f"not a vector of numbers but {values.dtype}")
    return values
