"""`.npy` files as bytes, one at a time or many alike at once. Arrays of Python objects are refused."""

from __future__ import annotations

import io
import math
import tokenize
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from schemas.errors import RowError, clipped

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


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
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, tokenize.TokenError) as error:
        # Python's own parser reads the header, and has limits of its own that it meets in these ways.
        raise ValueError(f"damaged header: {clipped(str(error))}") from None
    if min(shape, default=0) < 0 or not dtype.itemsize:
        raise ValueError(f"damaged header: shape {shape} of {dtype}")
    if dtype.hasobject:
        raise ValueError("holds Python objects, which would need pickle")
    return shape, fortran, dtype


def from_npy(data: bytes) -> npt.NDArray[Any]:
    """The read-only array in a `.npy` file, whose size is checked before anything is allocated.

    Raises:
        ValueError: broken, or of Python objects.
    """
    file = io.BytesIO(data)
    try:
        shape, fortran, dtype = npy_header(file)
    except EOFError as error:
        raise ValueError(str(error)) from None
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - file.tell() != expected:
        raise ValueError(f"{len(data) - file.tell()} bytes of values, the header promises {expected}")
    values: npt.NDArray[Any] = np.frombuffer(data, dtype, offset=file.tell())
    try:
        return values.reshape(shape, order="F" if fortran else "C")
    except OverflowError:
        raise ValueError(f"shape {clipped(str(shape))}") from None


def to_npy(array: npt.NDArray[Any]) -> bytes:
    """The bytes of a `.npy` file."""
    return to_npys(np.asarray(array)[None])[0]


def to_npys(arrays: npt.NDArray[Any]) -> list[bytes]:
    """(N, ...) -> N `.npy` files."""
    header = _header(arrays.dtype, arrays.shape[1:])
    return [header + array.tobytes() for array in arrays]


def from_npys(files: Sequence[bytes], dtype: npt.DTypeLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """N `.npy` files -> (N, *shape) of `dtype`, which each of them must hold.

    Raises:
        RowError: a file is broken, or holds something else.
    """
    dtype = np.dtype(dtype)
    header = np.frombuffer(_header(dtype, shape), np.uint8)
    size = len(header) + math.prod(shape) * dtype.itemsize
    if files and all(len(file) == size for file in files):
        table = np.frombuffer(b"".join(files), np.uint8).reshape(len(files), size)
        if (table[:, : len(header)] == header).all():
            return np.ascontiguousarray(table[:, len(header) :]).view(dtype).reshape(len(files), *shape)
    arrays = np.empty((len(files), *shape), dtype)
    for row, file in enumerate(files):
        try:
            array = from_npy(file)
        except ValueError as error:
            raise RowError(row, f"broken .npy: {error}") from None
        if array.dtype != dtype or array.shape != shape:
            raise RowError(row, f"{clipped(f'{array.dtype} {array.shape}')}, must be {dtype} {shape}")
        arrays[row] = array
    return arrays


def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    sink = io.BytesIO()
    fields = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(sink, fields)
    return sink.getvalue()
