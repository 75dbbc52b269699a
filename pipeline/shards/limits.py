"""How large a data set's pieces may be, checked before anything is allocated for them.

A manifest may come from anywhere, and every number in it may be a lie that costs the reader's memory. No data set of
use meets these limits; `bpkd export` keeps to them.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.shards.rows import RowFormat
from schemas.errors import UserError, clipped
from schemas.manifest import FileEntry

MAX_FILE = 2**32
"""Bytes of one shard file, which is read as a whole."""

MAX_DECODED = 2**32
"""Bytes of the samples of one shard, decoded."""

MAX_SAMPLE = 2**30
"""Bytes of one sample, decoded."""

MAX_JSON = 2**12
"""Bytes of one KEY.json."""

BATCH = 2**28
"""Bytes of values that are decoded from Parquet at once."""

_COLUMNS = 2**13
"""Bytes of a sample beside the sample itself: keys, origin, gaps, the file that it is in."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What one sample takes at most.

    Attributes:
        size: bytes in memory, decoded.
        values: in its longest column.
    """

    size: int
    values: int


def extent(rows: RowFormat) -> Extent:
    """Of a data set's row."""
    targets = rows.targets if rows.task == "regression" else 0
    size = rows.kind_.bytes_per_sample(rows.shape) + rows.codec_.bytes_per_sample(rows.width) + 16 + 4 * targets
    outputs = rows.codec_.values_per_sample(rows.width)
    return Extent(size, max(rows.kind_.values_per_sample(rows.shape), outputs, targets))


def sample_bytes(rows: RowFormat) -> int:
    """Memory that one decoded sample takes."""
    return extent(rows).size


def encoded_bytes(size: int, samples: int) -> int:
    """What so many samples of `size` bytes take at most as a table.

    A narrow image that cannot be compressed triples as PNG, and so may numbers with a dictionary that does not help.
    """
    return samples * (3 * size + _COLUMNS)


def check_format(rows: RowFormat, place: str) -> None:
    """Check what one sample takes.

    Raises:
        UserError: samples of a shape that the kind does not have, or larger than `MAX_SAMPLE`.
    """
    shape = clipped(str(list(rows.shape)))
    check_sample(sample_bytes(rows), f"a sample of shape {shape} with its logits", place)
    if not rows.kind_.fits(rows.shape):
        raise UserError(f"{place}: details.rows.shape = {shape} is none that {rows.kind} data has")


def check_sample(size: int, what: str, place: str) -> None:
    """Check one sample of `size` bytes, decoded.

    Raises:
        UserError: more than `MAX_SAMPLE`.
    """
    if size > MAX_SAMPLE:
        raise UserError(f"{place}: {what} takes {_over(size, MAX_SAMPLE)}")


def check_samples(size: int, samples: int, place: str) -> None:
    """Check the samples of one shard, each of `size` bytes, decoded.

    Raises:
        UserError: more than `MAX_DECODED`.
    """
    if samples * size > MAX_DECODED:
        remedy = "whoever makes it sets a smaller data.shard_size or export.shard_size"
        count = clipped(f"{samples:,}")
        raise UserError(f"{place}: {count} samples take {_over(samples * size, MAX_DECODED)} for a shard; {remedy}")


def check_entry(entry: FileEntry, size: int, place: str) -> None:
    """Check what a manifest says of a shard whose samples take `size` bytes each, decoded.

    Raises:
        UserError: a file of more than `MAX_FILE`, samples of more than `MAX_DECODED`, or counts that cannot be.
    """
    if entry.bytes > MAX_FILE:
        raise UserError(f"{place} has {_over(entry.bytes, MAX_FILE)} for a shard's file")
    check_samples(size, entry.samples, place)
    for name, count in (("source", entry.source), ("labelled", entry.labelled)):
        if count > entry.samples:
            raise UserError(f"{place}: the manifest counts {clipped(str(count))} as {name}, of {entry.samples} samples")


def check_written(data: bytes) -> bytes:
    """`data` itself, which will be a shard's file.

    Raises:
        UserError: more than `MAX_FILE`.
    """
    if len(data) > MAX_FILE:
        remedy = "set a smaller export.shard_size (or data.shard_size)"
        raise UserError(f"a shard has {_over(len(data), MAX_FILE)} for a shard's file; {remedy}")
    return data


def _over(size: int, limit: int) -> str:
    return f"{_gib(size)}, the limit is {_gib(limit)}"


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB" if size < 2**80 else "more than 2^80 bytes"
