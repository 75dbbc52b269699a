"""Parts: labelled samples in pieces that fit in memory, wherever they lie (user's source, mined shards, a data set)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from pipeline.shards.base import ShardFormat
from pipeline.shards.limits import check_entry, check_format, check_samples
from pipeline.shards.parquet import ParquetFormat, parquet_to_table
from pipeline.shards.rows import SOURCE, RowFormat, Rows
from pipeline.sources import Chunk, Samples
from pipeline.storage import Folder, sha256
from schemas.errors import BpkdError, SampleError, UserError
from schemas.manifest import FileEntry, Manifest


class Part(Protocol):
    """One piece. How many samples it has, how many of them are the user's own and labelled, is known beforehand."""

    samples: int
    source: int
    labelled: int

    def rows(self) -> Rows:
        """The samples as arrays."""

    def table(self) -> pa.Table:
        """The samples as a data set's table."""


SomePart = TypeVar("SomePart", bound=Part)


class SourcePart:
    """One chunk of the user's source, joined with its cached teacher logits.

    Samples that the cache recorded as failed are left out.
    """

    def __init__(self, samples: Samples, chunk: Chunk, cache: Folder, entry: FileEntry, rows: RowFormat) -> None:
        self._samples, self._chunk = samples, chunk
        self._cache, self._entry, self._format = cache, entry, rows
        self.samples, self.source, self.labelled = entry.samples, entry.source, entry.labelled

    def rows(self) -> Rows:
        block = self._samples.read(self._chunk)
        cached = parquet_to_table(read_checked(self._cache, self._entry)).combine_chunks()
        position = {key: index for index, key in enumerate(block.keys)}
        try:
            order = [position[key] for key in cached["key"].to_pylist()]
        except KeyError as missing:
            raise UserError(
                f"{self._cache.url}: sample {missing} is no longer in {self._chunk.file}; "
                "the source has changed, run `bpkd cache --restart`"
            ) from None
        width, decode = self._format.width, self._format.codec_.decode
        return Rows(
            keys=[block.keys[index] for index in order],
            stored=block.stored[order],
            labels=block.labels[order],
            logits=decode(cached["logits"].combine_chunks()) if order else torch.zeros(0, width),
            is_source=np.ones(len(order), np.bool_),
        )

    def table(self) -> pa.Table:
        return self._format.encode(self.rows())

    def __str__(self) -> str:
        return f"rows {self._chunk.start} to {self._chunk.stop} of {self._chunk.file}"


class FilePart:
    """One shard file with a data set's columns."""

    def __init__(self, folder: Folder, entry: FileEntry, rows: RowFormat, format: ShardFormat) -> None:
        self._folder, self._entry, self._rows, self._format = folder, entry, rows, format
        self.samples, self.source, self.labelled = entry.samples, entry.source, entry.labelled

    def rows(self) -> Rows:
        try:
            return self._rows.decode(self.table())
        except SampleError as error:
            raise UserError(f"{self}: {error}") from None

    def __str__(self) -> str:
        return f"{self._folder.url}/{self._entry.path}"

    def table(self) -> pa.Table:
        data = read_checked(self._folder, self._entry)
        try:
            table = self._format.read(data, self._rows, self._entry.samples)
        except UserError as error:
            raise UserError(f"{self}: {error}") from None
        # Training plans its batches with these counts before it reads a shard.
        found = table.num_rows, _count(table), table.num_rows - table["label"].null_count
        wanted = self._entry.samples, self._entry.source, self._entry.labelled
        for name, there, promised in zip(("samples", "source samples", "labels"), found, wanted, strict=True):
            if there != promised:
                raise UserError(f"{self}: {there} {name}, the manifest promises {promised}")
        return table


def read_checked(folder: Folder, entry: FileEntry) -> bytes:
    """The bytes of a file that a manifest lists.

    Raises:
        BpkdError: the file is missing, or its size or sha256 is not what the manifest promises.
    """
    try:
        size = folder.size(entry.path)
        # What is no plain file has no size, and might be read for ever.
        data = folder.read(entry.path) if 0 < size == entry.bytes else b""
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise BpkdError(f"{folder.url}/{entry.path} is missing, though the manifest lists it") from None
    if size != entry.bytes or len(data) != size:
        raise BpkdError(f"{folder.url}/{entry.path} has {size} bytes, the manifest promises {entry.bytes}")
    if sha256(data) != entry.sha256:
        raise BpkdError(f"{folder.url}/{entry.path} is damaged: its sha256 is not the manifest's")
    return data


def source_parts(samples: Samples, cache_url: str, cache: Manifest, rows: RowFormat) -> list[Part]:
    """Every chunk of the source with its cached logits, in source order."""
    entries = {entry.path: entry for entry in cache.files}
    folder = Folder(cache_url)
    for entry in cache.files:
        check_samples(rows, entry.samples, f"{cache_url}/{entry.path}")
    return [SourcePart(samples, chunk, folder, entries[shard_name(chunk.index)], rows) for chunk in samples.chunks]


def auxiliary_parts(url: str, manifest: Manifest, rows: RowFormat) -> list[Part]:
    """Every shard of one round's auxiliary samples."""
    return list(file_parts(url, manifest, rows, ParquetFormat()))


def file_parts(url: str, manifest: Manifest, rows: RowFormat, format: ShardFormat) -> list[FilePart]:
    """Every shard of a data set, or of one round's auxiliary samples; nothing but the manifest is read.

    Raises:
        UserError: samples or shards that are larger than they may be.
    """
    folder = Folder(url)
    check_format(rows, url)
    for entry in manifest.files:
        if entry.samples:
            check_entry(entry, rows, f"{url}/{entry.path}")
    return [FilePart(folder, entry, rows, format) for entry in manifest.files if entry.samples]


def _count(table: pa.Table) -> int:
    """Source samples."""
    return int(pc.sum(pc.equal(table["origin"], SOURCE)).as_py() or 0)


def shard_name(index: int) -> str:
    return f"shard-{index:05d}.parquet"


def group(parts: Sequence[SomePart], limit: int, generator: np.random.Generator) -> list[list[SomePart]]:
    """Shuffle parts and pack them into groups of at most `limit` samples (a larger part stands alone).

    Groups are what is held in memory at once, so a group mixes sources and rounds.
    """
    groups: list[list[SomePart]] = []
    room = 0
    for index in generator.permutation(len(parts)):
        part = parts[index]
        if part.samples > room or not groups:
            groups.append([])
            room = limit
        groups[-1].append(part)
        room -= part.samples
    return groups
