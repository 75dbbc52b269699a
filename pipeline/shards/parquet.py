"""Parquet shards, readable by polars, pyarrow and Hugging Face `datasets`."""

from __future__ import annotations

import io
from itertools import zip_longest

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.shards.rows import RowFormat
from schemas.errors import UserError


class ParquetFormat:
    """One table a file; images are PNG already, so only the other columns gain from compression."""

    suffix = "parquet"

    def write(self, table: pa.Table, rows: RowFormat) -> bytes:
        return table_to_parquet(table)

    def read(self, data: bytes, rows: RowFormat) -> pa.Table:
        table = parquet_to_table(data)
        if table.schema != rows.schema:
            raise UserError(_difference(table.schema, rows.schema))
        return table


def _difference(found: pa.Schema, promised: pa.Schema) -> str:
    """The first column that is not as promised."""
    for ours, theirs in zip_longest(promised, found):
        if ours is None:
            return f"column {theirs.name!r} is none that the manifest promises"
        if theirs is None or theirs.name != ours.name:
            place = "the columns end" if theirs is None else f"there is {theirs.name!r}"
            return f"{place} where the manifest promises column {ours.name!r} ({ours.type})"
        if theirs != ours:
            return f"column {ours.name!r} is {_type(theirs)}, the manifest promises {_type(ours)}"
    raise AssertionError("the schemas are equal")


def _type(field: pa.Field) -> str:
    return f"{field.type}" + ("" if field.nullable else " not null")


def table_to_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def parquet_to_table(data: bytes) -> pa.Table:
    """Read a whole Parquet file.

    Raises:
        UserError: it is not one.
    """
    # Copied into Arrow's own memory: a reading thread that still holds a Python object when the interpreter ends
    # aborts the process (apache/arrow#34314).
    copy = pa.BufferOutputStream()
    copy.write(data)
    try:
        return pq.read_table(pa.BufferReader(copy.getvalue()))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"not a readable Parquet file: {str(error).splitlines()[0]}") from None
