"""The samples of a source, decoded, labelled and cut into chunks."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from bisect import bisect_right
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from itertools import accumulate, chain, groupby, islice
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipeline.kinds.base import Kind, Stored
from pipeline.sources.base import Chunk, Record, Source
from pipeline.sources.chunks import cut
from pipeline.sources.files import Listing, find_files
from pipeline.sources.labels import ClassLabels, Labels, Targets, numbers, resolve_classes
from pipeline.sources.paths import relative
from pipeline.storage import file_fingerprint, sha256
from schemas.config import Config
from schemas.errors import SampleError, UserError
from schemas.manifest import FailedSample
from schemas.registry import KINDS, SOURCES
from schemas.sections import DataConfig

Which = Literal["train", "eval"]


@dataclass(frozen=True, slots=True)
class Block:
    """The samples of one chunk that could be decoded.

    Attributes:
        keys: N names.
        stored: (N, ...) samples in stored form.
        labels: int64 (N,), -1 where unknown; for regression float32 (N, T), NaN where unknown.
        failures: the chunk's other samples, with reasons.
    """

    keys: list[str]
    stored: Stored
    labels: npt.NDArray[Any]
    failures: list[FailedSample]


class Samples:
    """A source as the stages see it. Threads may share it; they read in turn, as files stay open between reads.

    Attributes:
        config: that names it.
        kind: how samples are decoded and stored.
        shape: of one stored sample, from the first that can be decoded.
        class_names: names of the classes where known, None for regression.
        classes: how many classes there are where known, None for regression.
        targets: T, numbers per label in regression, where there are labels; None otherwise.
        chunks: the units of work. Those of one file do not depend on other files, except through `data.limit`.
        size: samples in all chunks.
    """

    def __init__(self, config: Config, which: Which) -> None:
        data = config.data
        self.config = config
        self.kind = _kind(config)
        source, listing = _open(config, which)
        self._source, self._listing, self._data, self._which = source, listing, data, which
        self._reading = threading.Lock()
        self._labelled = data.labels or which == "eval"
        self._is_part = False
        self.chunks = list(_chunks(source, data, which))
        self.size = sum(len(chunk) for chunk in self.chunks)
        if not self.size:
            raise UserError(f"data.{which}: {listing.root} holds no samples")
        self.class_names: list[str] | None = None
        self.classes: int | None = None
        self.targets: int | None = None
        first = self._first()
        self.shape = self.kind.shape_of(first)
        self._labels = self._find_labels(config)

    def fingerprint(self) -> dict[str, Any]:
        """What the samples are made from: every file, and the settings that change what is read from them."""
        settings = self._data.model_dump(
            mode="json",
            include={"kind", "task", "labels", "classes", "columns", "mode", "size", "limit", "shuffle", "shard_size"},
        )
        if self._which == "eval":
            settings |= {"limit": None, "shuffle": False, "labels": True}
        if self._is_part:
            settings["first"] = self.size
        files = {
            relative(file, self._listing.root): {"rows": rows, **self._file_fingerprint(file)}
            for file, rows in self._source.sizes()
        }
        return {"files": files, "format": self._listing.format, **settings}

    def listing_sha256(self) -> str:
        """SHA-256 over the name and the rows of every file, and its bytes where it lies on this machine.

        Nothing is read for it. Files of other content but the same names and sizes have the same.
        """
        files = [
            (relative(file, self._listing.root), rows, os.path.getsize(file) if os.path.isfile(file) else None)
            for file, rows in self._source.sizes()
        ]
        return sha256(json.dumps(files).encode())

    def by_file(self) -> dict[str, list[Chunk]]:
        """The chunks of every file, which has the same name in the fingerprint."""
        files: dict[str, list[Chunk]] = {}
        for chunk in self.chunks:
            files.setdefault(relative(chunk.file, self._listing.root), []).append(chunk)
        return files

    def first(self, count: int) -> Samples:
        """The same source, but no more than its first chunks that have `count` samples together, or one chunk."""
        part, sizes = copy(self), accumulate(map(len, self.chunks))
        part.chunks = self.chunks[: max(bisect_right(list(sizes), count), 1)]
        part.size = sum(map(len, part.chunks))
        part._is_part = True
        return part

    def check_keys(self) -> None:
        """Make sure that no key comes twice; holds 8 bytes per key.

        Raises:
            UserError: one does.
        """
        hashes = np.fromiter((_hash(key) for _, key in self._keys()), np.uint64, self.size)
        hashes.sort()
        twice = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        seen: dict[str, str] = {}
        for file, key in self._keys() if twice else ():
            if _hash(key) not in twice:
                continue
            if key in seen:
                both = f"in {seen[key]} and in {file}" if seen[key] != file else f"twice in {file}"
                raise UserError(f"key {key!r} comes {both}; keys must be unique (data.columns.key names their column)")
            seen[key] = file

    def read(self, chunk: Chunk) -> Block:
        """Decode one chunk. A sample that cannot be decoded is listed in `failures`.

        Raises:
            UserError: the file is damaged, a label is wrong, or a sample's shape is not that of the first.
        """
        good: list[Record] = []
        stored: list[Any] = []
        failures: list[FailedSample] = []
        with self._reading:
            records = list(self._records(chunk))
        decoded = self.kind.decode_all([record.payload for record in records], self.shape)
        for record, sample in zip(records, decoded, strict=True):
            if isinstance(sample, SampleError):
                place = relative(chunk.file, self._listing.root)
                failures.append(FailedSample(key=record.key, stage="read", reason=str(sample), file=place))
                continue
            shape = self.kind.shape_of(sample)
            if shape != self.shape:
                raise UserError(f"{chunk.file}: sample {record.key} is {self._unlike(shape)}")
            good.append(record)
            stored.append(sample)
        together = self.kind.stack(stored) if stored else self.kind.blank(self.shape)[:0]
        labels = self._labels.encode(good if self._labelled else [replace(r, label=None) for r in good], chunk.file)
        return Block([record.key for record in good], together, labels, failures)

    def _first(self) -> Any:
        """The first sample that can be decoded."""
        reason = ""
        for chunk in self.chunks:
            for record in self._records(chunk):
                try:
                    return self.kind.decode(record.payload)
                except SampleError as error:
                    reason = reason or f"sample {record.key}: {error}"
        raise UserError(f"data.{self._which}: none of {self.size} samples can be read; the first is {reason}")

    def _find_labels(self, config: Config) -> Labels:
        if config.data.task == "regression":
            self.targets = self._target_width()
            return Targets(self.targets or 1)
        given, own = config.data.classes, self._source.class_names()
        known, setting = own, f"data.{self._which}"
        if self._which == "eval" and own is not None and not isinstance(given, list):
            # The teacher's outputs follow the classes of train, of which eval may lack some.
            known, setting = _open(config, "train")[0].class_names(), "data.train"
        self.class_names, self.classes = resolve_classes(given, known or own, setting)
        return ClassLabels(self.class_names, self.classes, None if isinstance(given, list) or known == own else own)

    def _target_width(self) -> int | None:
        """Length of the first target in the first chunk, None where it has none."""
        chunk = self.chunks[0]
        records = self._records(chunk) if self._labelled else iter(())
        targets = (numbers(record, chunk.file) for record in records)
        first = next((target for target in targets if target is not None), None)
        return None if first is None else len(first)

    def _keys(self) -> Iterator[tuple[str, str]]:
        """(file, key) of every sample."""
        for file, chunks in groupby(self.chunks, key=lambda chunk: chunk.file):
            keys, passed = iter(self._source.keys(file)), 0
            for row in chain.from_iterable(chunk.rows for chunk in chunks):  # ascending
                yield file, next(islice(keys, row - passed, None))
                passed = row + 1

    def _records(self, chunk: Chunk) -> Iterator[Record]:
        """The rows of a chunk as they lie in the source."""
        records = self._source.read(chunk.file, chunk.start, chunk.stop)
        if chunk.picked is None:
            return records
        picked = set(chunk.picked)
        return (record for row, record in enumerate(records, chunk.start) if row in picked)

    def _unlike(self, shape: tuple[int, ...]) -> str:
        """Both shapes and the remedy."""
        remedy = "all must be alike"
        if len(shape) == len(self.shape) == 3:
            remedies = [f"data.size = {list(self.shape[1:])}"] if shape[1:] != self.shape[1:] else []
            remedies += ['data.mode = "RGB"'] if shape[0] != self.shape[0] else []
            remedy = f"set {' and '.join(remedies)} to make all alike"
        return f"{self.kind.describe(shape)}, others are {self.kind.describe(self.shape)}; {remedy}"

    def _file_fingerprint(self, file: str) -> dict[str, Any]:
        parts = self._source.parts(file)
        if parts == [file]:
            return file_fingerprint(file)
        digest = hashlib.sha256()
        for part in parts:
            digest.update(json.dumps([relative(part, self._listing.root), _part_fingerprint(part)]).encode())
        return {"files": len(parts), "sha256": digest.hexdigest()}


def open_samples(config: Config, which: Which = "train") -> Samples:
    """Open `data.train` or `data.eval`.

    Raises:
        UserError: it is not set, missing, empty or not readable.
    """
    return Samples(config, which)


def _kind(config: Config) -> Kind:
    kind: Kind = KINDS.build(config.data.kind, mode=config.data.mode, size=config.data.size)
    return kind


def _open(config: Config, which: Which) -> tuple[Source, Listing]:
    data = config.data
    given = data.train if which == "train" else data.eval
    if given is None:
        raise UserError(f"data.{which} is not set; name a file, directory, glob or URL")
    listing = find_files(given, config.locate, data.format, f"data.{which}")
    source: Source = SOURCES.build(
        listing.format,
        files=listing.files,
        columns=data.columns,
        content=_kind(config).column,
        root=listing.root,
    )
    return source, listing


def _part_fingerprint(url: str) -> dict[str, Any] | None:
    """None for a file that is missing, which costs one sample and not the run."""
    try:
        return file_fingerprint(url)
    except UserError:
        return None


def _chunks(source: Source, data: DataConfig, which: Which) -> Iterator[Chunk]:
    limit = data.limit if which == "train" else None
    return cut(source.sizes(), data.shard_size, limit, shuffle=data.shuffle)


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
