"""The samples themselves, as their kind looks at them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pipeline.shards.rows import RowFormat
from schemas.errors import RowError, SampleError


def wrong_contents(batch: pa.RecordBatch, rows: RowFormat, *, decode: bool) -> Iterator[tuple[int, str]]:
    """(row, what is wrong) of every broken sample of a batch; one that is null is passed over.

    Args:
        batch: has the schema of `rows`.
        rows: its format.
        decode: decode the samples too, rather than do with the little that their kind looks at.
    """
    column, broken = batch[rows.kind_.column], set[int]()
    for row, problem in rows.kind_.problems(batch, rows.shape):
        broken.add(row)
        yield row, problem
    for row in range(len(column)) if decode else ():
        reason = _reason(batch.slice(row, 1), rows) if row not in broken and column[row].is_valid else None
        if reason is not None:
            yield row, reason


def _reason(batch: pa.RecordBatch, rows: RowFormat) -> str | None:
    """What decoding says of a batch of one sample."""
    try:
        rows.kind_.from_columns(batch, rows.shape)
    except SampleError as error:
        return error.reason if isinstance(error, RowError) else str(error)
    return None
