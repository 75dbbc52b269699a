"""Parquet shards, readable by polars, pyarrow and Hugging Face `datasets`."""

from __future__ import annotations

import io

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
            raise UserError(f"columns are {table.schema.names}, the manifest promises {rows.schema.names}")
        return table


def table_to_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def parquet_to_table(data: bytes) -> pa.Table:
    """Read a whole Parquet file.

    Raises:
        UserError: it is not one.
    """
    try:
        return pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"not a readable Parquet file: {str(error).splitlines()[0]}") from None
