"""Parts: labelled samples in pieces that fit in memory, wherever they lie (user's source, mined shards, a data set)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import IO, Protocol, TypeVar, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.artifacts.promised import PromisedFile
from pipeline.shards.base import ShardFormat
from pipeline.shards.cached import CachedFormat
from pipeline.shards.limits import check_entry, check_format, sample_bytes
from pipeline.shards.origins import SOURCE
from pipeline.shards.parquet import ParquetFormat
from pipeline.shards.rows import RowFormat, Rows
from pipeline.sources import Block, Chunk, Samples
from pipeline.storage import Folder
from pipeline.storage.cache import DiskCache
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
Decode = Callable[[], Rows]


@runtime_checkable
class RemotePart(Part, Protocol):
    """A part that may lie on a remote store, so that it pays to fetch it before its turn comes.

    Attributes:
        promised: its file, which a manifest lists.
        remote_bytes: memory that what is fetched takes; 0 where nothing is remote.
    """

    promised: PromisedFile

    @property
    def remote_bytes(self) -> int: ...

    def fetch(self) -> Decode:
        """Read what is stored. What this returns gives `rows` without reading anything more."""


class SourcePart:
    """One chunk of the user's source, joined with its cached teacher logits.

    Samples that the cache recorded as failed are left out.
    """

    def __init__(
        self,
        samples: Samples,
        chunk: Chunk,
        cache: Folder,
        entry: FileEntry,
        rows: RowFormat,
        copies: DiskCache | None = None,
    ) -> None:
        self._samples, self._chunk, self._format = samples, chunk, rows
        self.promised = PromisedFile(cache, entry, copies)
        self.samples, self.source, self.labelled = entry.samples, entry.source, entry.labelled

    @property
    def remote_bytes(self) -> int:
        source = self.samples * sample_bytes(self._format) if _is_remote(self._chunk.file) else 0
        return source + (self.promised.entry.bytes if self.promised.remote else 0)

    def rows(self) -> Rows:
        return self.fetch()()

    def fetch(self) -> Decode:
        block, data = self._samples.read(self._chunk), self.promised.read()
        return lambda: self._join(block, data)

    def _join(self, block: Block, data: bytes) -> Rows:
        cached = CachedFormat(self._format.codec_, self._format.width)
        try:
            keys, logits = cached.decode(cached.read(data, self.samples))
        except (UserError, SampleError) as error:
            raise UserError(f"{self.promised}: {error}") from None
        position = {key: index for index, key in enumerate(block.keys)}
        try:
            order = [position[key] for key in keys]
        except KeyError as missing:
            raise UserError(
                f"{self.promised.folder.url}: sample {missing} is no longer in {self._chunk.file}; "
                "the source has changed, run `bpkd cache --restart`"
            ) from None
        return Rows(
            keys=keys,
            stored=block.stored[order],
            labels=block.labels[order],
            logits=logits,
            is_source=np.ones(len(order), np.bool_),
        )

    def table(self) -> pa.Table:
        return self._format.encode(self.rows())

    def __str__(self) -> str:
        return f"rows {self._chunk.start} to {self._chunk.stop} of {self._chunk.file}"


class FilePart:
    """One shard file with a data set's columns."""

    def __init__(
        self,
        folder: Folder,
        entry: FileEntry,
        rows: RowFormat,
        format: ShardFormat,
        copies: DiskCache | None = None,
    ) -> None:
        self.promised = PromisedFile(folder, entry, copies)
        self._entry, self._rows, self._format = entry, rows, format
        self.path, self.samples = entry.path, entry.samples
        self.source, self.labelled = entry.source, entry.labelled

    @property
    def remote_bytes(self) -> int:
        return self._entry.bytes if self.promised.remote else 0

    def rows(self) -> Rows:
        return self.fetch()()

    def fetch(self) -> Decode:
        data = self.read()
        return lambda: self._decode(data)

    def _decode(self, data: bytes) -> Rows:
        try:
            return self._rows.decode(self._table(data))
        except SampleError as error:
            raise UserError(f"{self}: {error}") from None

    def __str__(self) -> str:
        return str(self.promised)

    def open(self) -> IO[bytes]:
        """The file, unchecked."""
        return self.promised.folder.open(self._entry.path)

    def read(self) -> bytes:
        """The file's bytes, as the manifest promises them."""
        return self.promised.read()

    def columns(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns in batches, with as little reading as the format allows; the file's sha256 may go unchecked.

        Raises:
            UserError: the shard is not what the manifest promises.
            BpkdError: it is missing or damaged.
        """
        try:
            yield from self._format.columns(self, self._rows, names)
        except FileNotFoundError:
            raise BpkdError(f"{self} is missing, though the manifest lists it") from None
        except UserError as error:
            raise UserError(f"{self}: {error}") from None

    def table(self) -> pa.Table:
        return self._table(self.read())

    def _table(self, data: bytes) -> pa.Table:
        try:
            table = self._format.read(data, self._rows, self._entry.samples)
        except UserError as error:
            raise UserError(f"{self}: {error}") from None
        # Training plans its batches with these counts before it reads a shard.
        found = table.num_rows, count_source(table), table.num_rows - table["label"].null_count
        wanted = self._entry.samples, self._entry.source, self._entry.labelled
        for name, there, promised in zip(("samples", "source samples", "labels"), found, wanted, strict=True):
            if there != promised:
                raise UserError(f"{self}: {there} {name}, the manifest promises {promised}")
        return table


def source_parts(
    samples: Samples, cache_url: str, cache: Manifest, rows: RowFormat, copies: DiskCache | None = None
) -> list[Part]:
    """Every chunk of the source with its cached logits, in source order.

    `copies` on the local disk are of the logits alone: what the user's own files hold is not known beforehand.
    """
    entries = {entry.path: entry for entry in cache.files}
    folder = Folder(cache_url)
    for entry in cache.files:
        check_entry(entry, sample_bytes(rows), f"{cache_url}/{entry.path}")
    return [
        SourcePart(samples, chunk, folder, entries[shard_name(chunk.index)], rows, copies) for chunk in samples.chunks
    ]


def auxiliary_parts(url: str, manifest: Manifest, rows: RowFormat, copies: DiskCache | None = None) -> list[FilePart]:
    """Every shard of one round's auxiliary samples."""
    return file_parts(url, manifest, rows, ParquetFormat(), copies)


def file_parts(
    url: str, manifest: Manifest, rows: RowFormat, format: ShardFormat, copies: DiskCache | None = None
) -> list[FilePart]:
    """Every shard of a data set, or of one round's auxiliary samples; nothing but the manifest is read.

    Args:
        url: their directory.
        manifest: of it.
        rows: format of the samples.
        format: of the shards.
        copies: on the local disk, of shards that are remote; see `pipeline.storage.cache.disk_cache`.

    Raises:
        UserError: samples or shards that are larger than they may be.
    """
    folder = Folder(url)
    check_format(rows, url)
    size = sample_bytes(rows)
    for entry in manifest.files:
        if entry.samples:
            check_entry(entry, size, f"{url}/{entry.path}")
    return [FilePart(folder, entry, rows, format, copies) for entry in manifest.files if entry.samples]


def count_source(table: pa.Table) -> int:
    """How many rows of a data set's table are source samples."""
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


@lru_cache(maxsize=1024)
def _is_remote(url: str) -> bool:
    return Folder(url).local is None
