"""Verification of one artifact, file by file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.artifacts.failures import FAILURES
from pipeline.datasets import own_code
from pipeline.progress import Task
from pipeline.storage import Folder
from pipeline.verify.files import Sizes, check_bytes, check_failures, compare_listing, open_manifest, reason
from pipeline.verify.opening import Shards, open_shards
from pipeline.verify.rows import LabelledShards
from pipeline.verify.verdict import Findings, Relabelled
from schemas.config import Config
from schemas.errors import BpkdError
from schemas.manifest import MANIFEST, FileEntry

if TYPE_CHECKING:
    from pipeline.verify.relabel import Relabeller


@dataclass(frozen=True)
class Teaching:
    """Labelling again: the config with the teacher, and how many samples of each artifact."""

    config: Config
    samples: int


class ArtifactCheck:
    """One artifact under verification.

    Args:
        url: its directory.
        prefix: of its files in the verdict.
        sizes: of its files.
        decode: decode images.
        teaching: label samples again, where there are inputs.

    Attributes:
        found: problems so far.
        manifest: None where it cannot be read.
        files: that the manifest lists.
        comparable: whether a teacher could label what it holds.

    Raises:
        UserError: the teacher cannot be built.
    """

    def __init__(self, url: str, prefix: str, sizes: Sizes, *, decode: bool, teaching: Teaching | None) -> None:
        self.found = Findings(prefix)
        self._folder, self._sizes = Folder(url), sizes
        self.manifest = open_manifest(self._folder, sizes, self.found)
        self.files: list[FileEntry] = self.manifest.files if self.manifest else []
        self._shards = self._open(decode, own_code(teaching.config) if teaching else ())
        self.comparable = isinstance(self._shards, LabelledShards)
        self._relabeller: Relabeller | None = None
        if teaching and self.manifest and isinstance(self._shards, LabelledShards):
            from pipeline.verify.relabel import Relabeller  # brings torch with it

            relabeller = Relabeller(teaching.config, url, self._shards.rows, self.manifest, teaching.samples)
            self._relabeller = relabeller if relabeller.fits(self.found) else None

    @property
    def relabelled(self) -> Relabelled | None:
        """What the teacher said, None where it was not asked."""
        return self._relabeller.result if self._relabeller else None

    def run(self, task: Task) -> None:
        """Check every file once, and the few that have suspicious keys twice; `task` counts bytes."""
        if self.manifest is None:
            return
        fitting = {entry.path for entry in compare_listing(self.manifest, self._sizes, self.found)}
        whole: list[FileEntry] = []
        for entry in self.files:
            if entry.path in fitting and self._check(entry):
                whole.append(entry)
            task.advance(entry.bytes)
        listed = any(entry.path == FAILURES for entry in whole)
        check_failures(self._folder, listed, self.manifest, self.found)
        if self._shards is not None:
            self._check_together(self._shards, whole)

    def _open(self, decode: bool, trusted: tuple[str, ...]) -> Shards | None:
        if self.manifest is None:
            return None
        try:
            return open_shards(self._folder.url, self.manifest, decode=decode, trusted=trusted)
        except BpkdError as error:
            self.found.add(MANIFEST, None, reason(error, self._folder, MANIFEST))
        return None

    def _check(self, entry: FileEntry) -> bool:
        """Whether the file has the bytes that the manifest promises; whatever they hold is checked too."""
        if self._shards is None or entry.path not in self._shards.tables:
            return check_bytes(self._folder, entry, self.found)
        before = self.found.count
        table = self._read(self._shards, entry)
        if table is None:
            return False
        self._shards.check(entry, table, self.found)
        if self._relabeller is not None and self.found.count == before:
            self._relabeller.check(entry, table, self.found)
        return True

    def _read(self, shards: Shards, entry: FileEntry) -> pa.Table | None:
        try:
            # Parquet comes in small batches, each of which would cost as much as the whole.
            return shards.tables[entry.path]().combine_chunks()
        except (OSError, BpkdError) as error:
            self.found.add(entry.path, None, reason(error, self._folder, entry.path))
        return None

    def _check_together(self, shards: Shards, whole: list[FileEntry]) -> None:
        """Uniqueness of keys needs no other shard; parents and counts are known only where all could be read."""
        readable = [entry for entry in whole if entry.path in shards.tables]
        complete = len(readable) == len(shards.tables)
        if complete:
            shards.finish(self.found)
        if not shards.keys.suspicious(self.found, parents=complete):
            return
        for entry in readable:
            table = self._read(shards, entry)
            for batch in table.to_batches() if table else ():
                shards.keys.locate(entry.path, batch, self.found)
