"""Arrays: float32 vectors, for tables of features and for regression."""

from __future__ import annotations

import io
import math
import tokenize
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.kinds.base import Stored
from schemas.errors import SampleError

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class ArrayKind:
    """Vectors of D finite numbers; stored as float32 (D,)."""

    column = "tensor"
    extension = "input.npy"
    natural_bounds: tuple[float, float] | None = None

    def decode(self, payload: Any) -> Stored:
        """Numbers in one dimension (a single number is a vector of one), or the bytes of a `.npy` file with them.

        Raises:
            SampleError: not numbers, not finite, or of more than one dimension.
        """
        if isinstance(payload, SampleError):
            raise payload
        if isinstance(payload, bytes | bytearray | memoryview):
            payload = _from_npy(bytes(payload))
        values = _numbers(payload)
        if values.ndim > 1 or not values.size:
            raise SampleError(f"shape {values.shape}; arrays are vectors with at least one number")
        with np.errstate(over="ignore"):
            vector = np.array(values.reshape(-1), np.float32)
        if not np.isfinite(vector).all():
            raise SampleError("holds a value that is missing or not a finite float32")
        return vector

    def encode(self, stored: Stored) -> bytes:
        """A `.npy` file; stored is float32 (D,)."""
        sink = io.BytesIO()
        np.save(sink, np.asarray(stored, np.float32), allow_pickle=False)
        return sink.getvalue()

    def to_inputs(self, stored: Stored | torch.Tensor) -> torch.Tensor:
        """float32 (N, D) -> a copy of the same."""
        if isinstance(stored, torch.Tensor):
            return stored.to(torch.float32, copy=True)
        return torch.tensor(stored, dtype=torch.float32)

    def to_stored(self, inputs: torch.Tensor) -> Stored:
        """float (N, D) -> a copy as float32."""
        vectors: npt.NDArray[np.float32] = inputs.detach().to("cpu", torch.float32, copy=True).numpy()
        return vectors

    def describe(self, shape: tuple[int, ...]) -> str:
        return f"a vector of {shape[0]}"


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, whether in Fortran order, dtype) of a `.npy` file; `file` is left at the first value.

    Raises:
        ValueError: not a `.npy` file, or one that holds Python objects.
    """
    version = np.lib.format.read_magic(file)
    if version not in _READERS:
        raise ValueError(f"version {version[0]}.{version[1]} of the .npy format is not read")
    try:
        shape, fortran, dtype = _READERS[version](file)
    except (SyntaxError, TypeError, RecursionError, tokenize.TokenError) as error:
        raise ValueError(f"damaged header: {error}") from None
    if min(shape, default=0) < 0 or not dtype.itemsize:
        raise ValueError(f"damaged header: shape {shape} of {dtype}")
    if dtype.hasobject:
        raise ValueError("holds Python objects, which would need pickle")
    return shape, fortran, dtype


def _from_npy(data: bytes) -> npt.NDArray[Any]:
    """The array in a `.npy` file, whose size is checked before anything is allocated."""
    file = io.BytesIO(data)
    try:
        shape, fortran, dtype = npy_header(file)
        expected = math.prod(shape) * dtype.itemsize
        if len(data) - file.tell() != expected:
            raise ValueError(f"{len(data) - file.tell()} bytes of values, the header promises {expected}")
        values = np.frombuffer(data, dtype, offset=file.tell())
    except (ValueError, EOFError) as error:
        raise SampleError(f"broken .npy: {error}") from None
    return values.reshape(shape, order="F" if fortran else "C")


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
