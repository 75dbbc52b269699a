"""Parquet files: the Hugging Face image schema, or plain columns of bytes, paths, lists, numbers or texts."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from pipeline.sources.base import Record
from pipeline.sources.columns import Field, Roles, find_roles
from pipeline.sources.contents import decoded
from pipeline.sources.paths import beside, read_bytes, row_keys, user_key
from pipeline.storage import open_file
from schemas.errors import SampleError, UserError
from schemas.sections import Columns


class ParquetSource:
    """Rows of Parquet files. One file is open and one row group is held at a time.

    Args:
        files: URLs.
        columns: which column holds what; found by name and type when left out.
        content: image, tensor or text, see `Kind.column`.
        root: directory that keys are relative to.
    """

    def __init__(self, files: list[str], columns: Columns, content: str, root: str) -> None:
        self._files, self._columns, self._content, self._root = files, columns, content, root
        self._open: tuple[str, pq.ParquetFile] | None = None
        self._group: tuple[str, int, pa.Table] | None = None
        self._groups: tuple[str, list[int]] | None = None

    def sizes(self) -> list[tuple[str, int]]:
        return [(file, self._file(file).metadata.num_rows) for file in self._files]

    def keys(self, file: str) -> Iterator[str]:
        if self._roles.key is None:
            return row_keys(file, self._root, range(self._file(file).metadata.num_rows))
        return (user_key(value) for group in self._column(file, self._roles.key) for value in group.to_pylist())

    def read(self, file: str, start: int, stop: int) -> Iterator[Record]:
        firsts = self._firsts(file)
        for group in range(bisect_right(firsts, start) - 1, bisect_left(firsts, stop, hi=len(firsts) - 1)):
            low, high = max(start, firsts[group]), min(stop, firsts[group + 1])
            if low < high:
                table = self._row_group(file, group).slice(low - firsts[group], high - low)
                yield from self._records(file, table, low)

    def class_names(self) -> list[str] | None:
        """Those of the `ClassLabel` in the Hugging Face metadata, or the strings in the label column, sorted."""
        label = self._roles.label
        if label is None:
            return None
        schema = self._file(self._files[0]).schema_arrow
        if not _is_text(schema.field(label).type):
            return _hub_names(schema, label)
        names: set[str] = set()
        for file in self._files:
            for column in self._column(file, label):
                names.update(pc.unique(column).drop_null().to_pylist())
        return sorted(names)

    def parts(self, file: str) -> list[str]:
        """The file and the images that it refers to by path."""
        payload = self._roles.payload[0]
        type_ = self._file(file).schema_arrow.field(payload).type
        if self._content != "image" or not (_is_text(type_) or pt.is_struct(type_)):
            return [file]
        paths = [path for column in self._column(file, payload) for path in _paths(column)]
        return [file, *(beside(file, path) for path in paths)]

    @cached_property
    def _roles(self) -> Roles:
        schema = self._file(self._files[0]).schema_arrow
        fits = _FITS[self._content]
        fields = [Field(field.name, fits(field.type), _is_number(field.type)) for field in schema]
        return find_roles(self._columns, self._content, fields, self._files[0])

    def _records(self, file: str, table: pa.Table, first: int) -> Iterator[Record]:
        roles, count = self._roles, table.num_rows
        labels = table[roles.label].to_pylist() if roles.label else [None] * count
        keys = (
            [user_key(value) for value in table[roles.key].to_pylist()]
            if roles.key
            else row_keys(file, self._root, range(first, first + count))
        )
        payloads = self._payloads(file, table.select(roles.payload))
        for key, payload, label in zip(keys, payloads, labels, strict=True):
            yield Record(key, payload, label)

    def _payloads(self, file: str, table: pa.Table) -> Iterator[Any]:
        fits, numbers = _FITS[self._content], self._content == "tensor"
        misfits = [field for field in table.schema if not fits(field.type)]
        if not misfits and self._content == "image":
            return (_image(file, value) for value in table.column(0).to_pylist())
        if not misfits and self._content == "text":
            return map(decoded, zip(*map(_utf8, table.columns), strict=True))
        if not misfits and table.num_columns == 1:
            return _vectors(table.column(0))
        wrong = [field for field in misfits if not (numbers and _is_number(field.type))]
        if numbers and not wrong and len(misfits) == table.num_columns:
            # float64 turns what is missing into NaN, which the kind reports.
            return iter(np.stack([column.cast(pa.float64()).to_numpy() for column in table.columns], axis=1))
        field = [*wrong, *table.schema][0]
        raise UserError(f"{file}: column {field.name!r} is {field.type}; data.kind takes {_TAKES[self._content]}")

    def _file(self, file: str) -> pq.ParquetFile:
        if self._open is None or self._open[0] != file:
            try:
                # With it, a thread of Arrow's may hold the file when the interpreter ends, which aborts the process.
                self._open = file, pq.ParquetFile(open_file(file), pre_buffer=False)
            except FileNotFoundError:
                raise UserError(f"{file}: no such file") from None
            except (pa.ArrowException, OSError) as error:
                raise _damaged(file, error) from None
        return self._open[1]

    def _firsts(self, file: str) -> list[int]:
        """The first row of every row group, and the number of rows; of a file that may have thousands, found once."""
        if self._groups is None or self._groups[0] != file:
            metadata = self._file(file).metadata
            sizes = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
            self._groups = file, [0, *accumulate(sizes)]
        return self._groups[1]

    def _row_group(self, file: str, group: int) -> pa.Table:
        if self._group is None or self._group[:2] != (file, group):
            self._group = file, group, self._read(file, group, self._roles.used)
        return self._group[2]

    def _column(self, file: str, name: str) -> Iterator[pa.ChunkedArray]:
        """One column, row group by row group."""
        for group in range(self._file(file).num_row_groups):
            yield self._read(file, group, [name])[name]

    def _read(self, file: str, group: int, names: list[str]) -> pa.Table:
        opened = self._file(file)
        missing = [name for name in names if name not in opened.schema_arrow.names]
        if missing:
            raise UserError(f"{file}: no column {missing[0]!r}, which {self._files[0]} has; all files take the same")
        try:
            return opened.read_row_group(group, columns=names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(file, error) from None


def _image(file: str, value: Any) -> bytes | SampleError:
    """Encoded bytes from bytes, a path, or a struct of both, of which bytes win."""
    path = value
    if isinstance(value, dict):
        value, path = value.get("bytes"), value.get("path")
    if isinstance(value, bytes):
        return value
    return read_bytes(beside(file, path)) if isinstance(path, str) and path else SampleError("no image in this row")


def _paths(column: pa.ChunkedArray) -> list[str]:
    """Paths of the images that are not in the column itself."""
    if pt.is_struct(column.type):
        column = column.filter(pc.is_null(pc.struct_field(column, "bytes")))
        return [value["path"] for value in column.to_pylist() if value and value.get("path")]
    return [value for value in column.to_pylist() if value]


def _utf8(column: pa.ChunkedArray) -> list[bytes | None]:
    """The bytes of texts: files may promise UTF-8 and hold something else, which costs that sample and not the rest."""
    if pt.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
    return values


def _vectors(column: pa.ChunkedArray) -> Iterator[Any]:
    if _is_bytes(column.type):
        return iter(column.to_pylist())
    lengths = pc.list_value_length(column).to_pylist()
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return _split(values, lengths)


def _split(values: np.ndarray[Any, Any], lengths: list[int | None]) -> Iterator[Any]:
    end = 0
    for length in lengths:
        start, end = end, end + (length or 0)
        yield SampleError("no vector in this row") if length is None else values[start:end]


def _hub_names(schema: pa.Schema, label: str) -> list[str] | None:
    """Class names in the metadata that Hugging Face `datasets` writes."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _is_image(type_: pa.DataType) -> bool:
    if pt.is_struct(type_):
        return bool(type_.get_field_index("bytes") >= 0)
    return _is_bytes(type_) or _is_text(type_)


def _is_vector(type_: pa.DataType) -> bool:
    if pt.is_list(type_) or pt.is_large_list(type_) or pt.is_fixed_size_list(type_):
        return _is_number(type_.value_type)
    return _is_bytes(type_)


def _is_bytes(type_: pa.DataType) -> bool:
    return bool(pt.is_binary(type_) or pt.is_large_binary(type_))


def _is_number(type_: pa.DataType) -> bool:
    return bool(pt.is_integer(type_) or pt.is_floating(type_))


def _is_text(type_: pa.DataType) -> bool:
    value = type_.value_type if pt.is_dictionary(type_) else type_
    return bool(pt.is_string(value) or pt.is_large_string(value))


_FITS = {"image": _is_image, "tensor": _is_vector, "text": _is_text}
_TAKES = {
    "image": "bytes, {bytes, path} or paths",
    "tensor": "lists of numbers, or numbers",
    "text": "strings",
}
"""By content: whether a column of a type can hold samples, and what can."""


def _damaged(file: str, error: Exception) -> UserError:
    return UserError(f"{file}: not a readable Parquet file: {str(error).splitlines()[0]}")
