"""The samples themselves: images as PNG files, other kinds as values."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.datasets.verify.columns import true
from pipeline.datasets.verify.png import png_problem
from pipeline.kinds.image import ImageKind
from pipeline.shards.rows import RowFormat
from schemas.errors import RowError, SampleError


def wrong_contents(batch: pa.RecordBatch, rows: RowFormat, *, decode: bool) -> Iterator[tuple[int, str]]:
    """(row, what is wrong) of every broken sample of a batch; one that is null is passed over.

    Args:
        decode: decode images too, rather than look at the chunks of their files only.
    """
    column = batch[rows.kind_.column]
    if isinstance(rows.kind_, ImageKind):
        yield from _wrong_paths(batch["key"], column)
        yield from _wrong_images(column, rows, decode)
        return
    if column.null_count == 0 and _problem(column, rows) is None:
        return
    for row in range(len(column)):
        problem = _problem(column.slice(row, 1), rows) if column[row].is_valid else None
        if problem is not None:
            yield row, problem


def _wrong_images(column: pa.Array, rows: RowFormat, decode: bool) -> Iterator[tuple[int, str]]:
    for row, data in enumerate(column.field("bytes").to_pylist()):
        problem = "has no image" if data is None else png_problem(data, rows.shape)
        if problem is None and decode:
            problem = _problem(column.slice(row, 1), rows)
        if problem is not None and column[row].is_valid:
            yield row, problem


def _wrong_paths(keys: pa.Array, column: pa.Array) -> Iterator[tuple[int, str]]:
    """A reader may write the image under this name, which therefore is the key's."""
    paths = column.field("path")
    different = true(pc.not_equal(paths, pc.binary_join_element_wise(keys, "png", ".")))
    for row in different.nonzero()[0].tolist():
        yield row, f"its image has the path {paths[row].as_py()!r}, must be KEY.png"


def _problem(column: pa.Array, rows: RowFormat) -> str | None:
    """What decoding says of the column's first broken sample."""
    try:
        rows.kind_.from_column(column, rows.shape)
    except SampleError as error:
        return error.reason if isinstance(error, RowError) else str(error)
    return None
