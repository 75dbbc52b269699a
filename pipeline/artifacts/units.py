"""Units of work: an artifact is made unit by unit, each committed as a whole and never made twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.artifacts.lock import Lease
from pipeline.storage import Folder, sha256
from schemas.manifest import FailedSample, FileEntry, ShardReport


@dataclass(frozen=True, slots=True)
class File:
    """A file that a unit makes; see `FileEntry` for the counts."""

    path: str
    data: bytes
    samples: int = 0
    source: int = 0
    labelled: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """What a unit's work gives: files, samples given up, and details for the report.

    The files may come from a generator, so that only one of them is in memory at a time.
    """

    files: Iterable[File]
    failures: Sequence[FailedSample] = ()
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit's name in the artifact, and the number of samples that it stands for in the progress."""

    name: str
    samples: int


@dataclass(frozen=True, slots=True)
class Target:
    """Where workers write the files of an artifact, as long as the process that makes it holds its lock.

    What they have written counts once that process commits their report.

    Attributes:
        url: of the artifact.
        lease: the lock, as anyone can check it.
    """

    url: str
    lease: Lease

    def write(self, made: Made) -> ShardReport:
        """Write all files of a unit.

        Raises:
            BpkdError: the lock is held by somebody else now, or a file cannot be written.
        """
        folder = Folder(self.url)
        return ShardReport(
            files=[self._write(folder, file) for file in made.files],
            failures=list(made.failures),
            details=dict(made.details),
        )

    def _write(self, folder: Folder, file: File) -> FileEntry:
        # A worker whose process was killed would else write over what another makes in its place.
        self.lease.require(folder)
        folder.write(file.path, file.data)
        return FileEntry(
            path=file.path,
            bytes=len(file.data),
            sha256=sha256(file.data),
            samples=file.samples,
            source=file.source,
            labelled=file.labelled,
        )
