"""What a file format of the data set is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Protocol

import pyarrow as pa

from pipeline.shards.rows import RowFormat


class ShardFile(Protocol):
    """A shard's file where it lies."""

    samples: int
    """That the manifest promises."""

    def open(self) -> IO[bytes]:
        """For reading some of it; nothing is checked."""

    def read(self) -> bytes:
        """All of it, checked against the manifest."""


class ShardFormat(Protocol):
    """One shard as the bytes of one file, and back.

    A new format is a class in a file of this folder and a line in `schemas.registry.FORMATS`.
    """

    suffix: str
    """Of the file's name, without the dot."""

    def write(self, table: pa.Table, rows: RowFormat) -> bytes:
        """The same bytes for the same table.

        Raises:
            UserError: more of them than a shard may have.
        """

    def read(self, data: bytes, rows: RowFormat, samples: int | None = None) -> pa.Table:
        """A table of `rows.schema`, from bytes that anyone may have made.

        Args:
            data: the whole file.
            rows: format that the manifest promises.
            samples: that the manifest promises, None where it is not known.

        Raises:
            UserError: the bytes are not such a shard, or more than a shard may be; the message says where.
        """

    def columns(self, file: ShardFile, rows: RowFormat, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns in batches, with as little reading as the format allows.

        Raises:
            UserError: as `read`.
        """
