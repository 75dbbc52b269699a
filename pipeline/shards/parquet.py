"""Parquet shards, readable by polars, pyarrow and Hugging Face `datasets`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.shards.base import ShardFile
from pipeline.shards.limits import BATCH, Extent, check_samples, check_written, encoded_bytes, extent
from pipeline.shards.pages import measure_pages
from pipeline.shards.rows import RowFormat
from schemas.errors import UserError, clipped

# Of the footer, which Thrift would otherwise let claim hundreds of MiB.
_FOOTER = {"thrift_string_size_limit": 2**26, "thrift_container_size_limit": 2**16}
_DAMAGE = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, OverflowError)


class ParquetFormat:
    """One table a file; images are PNG already, so only the other columns gain from compression."""

    suffix = "parquet"

    def write(self, table: pa.Table, rows: RowFormat) -> bytes:
        return check_written(table_to_parquet(table))

    def read(self, data: bytes, rows: RowFormat, samples: int | None = None) -> pa.Table:
        return read_parquet(data, rows.schema, extent(rows), samples)

    def columns(self, file: ShardFile, rows: RowFormat, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with file.open() as opened:
            yield from parquet_batches(opened, rows.schema, extent(rows), file.samples, names)


def read_parquet(data: bytes, schema: pa.Schema, sample: Extent, samples: int | None = None) -> pa.Table:
    """The whole of what `parquet_batches` reads.

    Raises:
        UserError: as there.
    """
    return pa.Table.from_batches(parquet_batches(pa.BufferReader(data), schema, sample, samples), schema)


def parquet_batches(
    file: IO[bytes], schema: pa.Schema, sample: Extent, samples: int | None = None, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Read a shard piece by piece, in memory that does not depend on what the file claims.

    Args:
        file: can seek.
        schema: that the manifest promises.
        sample: what one takes.
        samples: that the manifest promises, None where it is not known.
        columns: to read, all by default.

    Raises:
        UserError: not such a Parquet file, or larger than a shard may be.
    """
    try:
        with pq.ParquetFile(file, pre_buffer=False, **_FOOTER) as parquet:
            size = _check(file, parquet, schema, sample, samples)
            read = 0
            # One thread: one that still holds a Python object when the interpreter ends aborts the process.
            for batch in parquet.iter_batches(size, columns=columns, use_threads=False):
                batch.validate(full=True)
                read += batch.nbytes
                _check_size(read, parquet.metadata.num_rows, sample)
                yield batch
    except _DAMAGE as error:
        raise UserError(f"not a readable Parquet file: {_first_line(error)}") from None


def _check(file: IO[bytes], parquet: pq.ParquetFile, schema: pa.Schema, sample: Extent, samples: int | None) -> int:
    """Check schema and sizes before any value is read; rows that may be read at once."""
    found, metadata = parquet.schema_arrow, parquet.metadata
    if found != schema:
        raise UserError(clipped(_difference(found, schema), 300))
    count = int(sum(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)))
    if count != metadata.num_rows:
        raise ValueError(f"{metadata.num_rows} rows, its row groups have {count}")
    if samples is not None and count != samples:
        raise UserError(f"{count} samples, the manifest promises {samples}")
    check_samples(sample.size, count, "the file")
    pages = measure_pages(file, metadata)
    _check_size(pages.size, count, sample)
    if pages.values > count * sample.values:
        raise UserError(f"a column of {pages.values} values, too many for {count} samples")
    # Every row may repeat what is largest in a dictionary.
    return max(1, min(BATCH // (pages.dictionary + 1), count))


def _check_size(size: int, count: int, sample: Extent) -> None:
    limit = encoded_bytes(sample.size, count)
    if size > limit:
        raise UserError(f"{size:,} bytes of values, {count:,} samples have {limit:,} at most")


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


def _first_line(error: BaseException) -> str:
    return clipped(str(error).partition("\n")[0], 300) or type(error).__name__
