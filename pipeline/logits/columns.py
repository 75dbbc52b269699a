"""Arrow columns of numbers on a few classes each, and the same as files; who made them is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.npy import from_npys, to_npys

Array = npt.NDArray[Any]


class SparseColumn:
    """Column and files of codecs that keep k of K classes: a struct of lists of k, the classes and a number for each,
    and perhaps a number for all other classes together.

    Args:
        width: K.
        k: places.
        value: name and type of the numbers.
        rest: name of the number for all others, float32.
    """

    def __init__(self, width: int, k: int, value: tuple[str, npt.DTypeLike], rest: str | None = None) -> None:
        self._width, self._k = width, k
        classes = np.dtype(np.uint16 if width <= 2**16 else np.uint32)
        self._lists = {"classes": classes, value[0]: np.dtype(value[1])}
        self._rest = rest
        fields = [pa.field(name, pa.list_(pa.from_numpy_dtype(type_), k)) for name, type_ in self._lists.items()]
        self._type: pa.DataType = pa.struct([*fields, *([pa.field(rest, pa.float32())] if rest else [])])
        self.extensions = tuple(f"teacher_{name}.npy" for name in (*self._lists, *([rest] if rest else [])))

    def column_type(self, width: int) -> pa.DataType:
        return self._type

    def bytes_per_sample(self, width: int) -> int:
        return 8 * self._k + 4

    def values_per_sample(self, width: int) -> int:
        return self._k

    def _join(self, classes: Array, values: Array, rest: Array | None = None) -> pa.Array:
        """(N, k), (N, k) and (N,) -> the column."""
        children = [
            pa.FixedSizeListArray.from_arrays(pa.array(array.astype(type_).reshape(-1)), self._k)
            for array, type_ in zip((classes, values), self._lists.values(), strict=True)
        ]
        if rest is not None:
            children.append(pa.array(rest, pa.float32()))
        return pa.StructArray.from_arrays(children, fields=list(self._type))

    def _split(self, column: pa.Array) -> tuple[Array, Array, Array | None]:
        """The column -> (N, k), (N, k) and (N,); nothing in it is null."""
        lists, rest = self._children(column)
        classes, values = (child.flatten().to_numpy(zero_copy_only=False).reshape(-1, self._k) for child in lists)
        return classes, values, None if rest is None else rest.to_numpy(zero_copy_only=False)

    def _known(self, column: pa.Array) -> npt.NDArray[np.bool_]:
        """(N,) rows in which nothing is null."""
        lists, rest = self._children(column)
        mask = np.ones(len(column), np.bool_)
        for child in (*lists, *([] if rest is None else [rest])):
            mask &= child.is_valid().to_numpy(zero_copy_only=False)
        for child in lists:
            if child.flatten().null_count:
                mask[mask] &= np.array([None not in row for row in child.filter(pa.array(mask)).to_pylist()], np.bool_)
        return mask

    def to_members(self, column: pa.Array) -> Mapping[str, Sequence[bytes]]:
        arrays = [array for array in self._split(column) if array is not None]
        return {extension: to_npys(array) for extension, array in zip(self.extensions, arrays, strict=True)}

    def from_members(self, members: Mapping[str, Sequence[bytes]], width: int) -> pa.Array:
        kinds: list[tuple[Any, tuple[int, ...]]] = [(type_, (self._k,)) for type_ in self._lists.values()]
        if self._rest:
            kinds.append((np.dtype(np.float32), ()))
        arrays = [from_npys(members[name], *kind) for name, kind in zip(self.extensions, kinds, strict=True)]
        return self._join(*arrays)

    def _children(self, column: pa.Array) -> tuple[list[pa.Array], pa.Array | None]:
        lists = [pc.struct_field(column, name) for name in self._lists]
        return lists, pc.struct_field(column, self._rest) if self._rest else None


def different(classes: Array, used: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(N,) whether no class of (N, k) comes twice among those that are used."""
    # What is not used becomes numbers that nothing else has.
    own = np.where(used, classes.astype(np.int64), -1 - np.arange(classes.shape[1]))
    own.sort(axis=1)
    result: npt.NDArray[np.bool_] = (np.diff(own, axis=1) != 0).all(axis=1)
    return result
