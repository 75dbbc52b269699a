"""The bytes of files that a manifest lists: there, of the promised size, with the promised sha256."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO

from pipeline.storage import Folder, sha256
from pipeline.storage.cache import DiskCache
from schemas.errors import BpkdError
from schemas.manifest import FileEntry

_REMEDY = "get a sound copy, or make it anew with --restart"


@dataclass(frozen=True)
class PromisedFile:
    """A file that a manifest lists, where it lies.

    Attributes:
        folder: of the manifest.
        entry: what it says of the file.
        copies: on the local disk, which take the file's place where `folder` is remote.
    """

    folder: Folder
    entry: FileEntry
    copies: DiskCache | None = None

    def __str__(self) -> str:
        return f"{self.folder.url}/{self.entry.path}"

    @property
    def remote(self) -> bool:
        return self.folder.local is None

    def read(self) -> bytes:
        """See `read_checked`."""
        return read_checked(self.folder, self.entry, self.copies)

    def copied(self) -> bool:
        """Whether the local disk has a copy, or can have none."""
        entry, copies = self.entry, self.copies
        if copies is None or not self.remote or not copies.takes(entry.bytes):
            return True
        return copies.has(entry.sha256, entry.bytes)


def read_checked(folder: Folder, entry: FileEntry, copies: DiskCache | None = None) -> bytes:
    """The bytes of a file.

    Args:
        folder: of the manifest.
        entry: of the file, in the manifest.
        copies: on the local disk, to read from instead where `folder` is remote; the store is then not asked.

    Raises:
        BpkdError: the file is missing, or its size or sha256 is not what the manifest promises.
    """
    if copies is None or folder.local is not None:
        return _read(folder, entry)
    return copies.read(entry.sha256, entry.bytes, lambda: _read(folder, entry))


def _read(folder: Folder, entry: FileEntry) -> bytes:
    _check_size(folder, entry)
    data = folder.read(entry.path) if entry.bytes else b""
    _check_sha256(folder, entry, sha256(data))
    return data


def check_file(folder: Folder, entry: FileEntry) -> None:
    """Check a file that may be larger than memory.

    Raises:
        BpkdError: as `read_checked`.
    """
    _check_size(folder, entry)
    with folder.open(entry.path) if entry.bytes else BytesIO() as file:
        _check_sha256(folder, entry, hashlib.file_digest(file, "sha256").hexdigest())  # type: ignore[arg-type]


def _check_size(folder: Folder, entry: FileEntry) -> None:
    """What is no plain file has no size, and might be read for ever."""
    try:
        size = folder.size(entry.path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise BpkdError(f"{folder.url}/{entry.path} is missing, though the manifest lists it; {_REMEDY}") from None
    if size != entry.bytes:
        raise BpkdError(f"{folder.url}/{entry.path} has {size} bytes, the manifest promises {entry.bytes}; {_REMEDY}")


def _check_sha256(folder: Folder, entry: FileEntry, found: str) -> None:
    if found != entry.sha256:
        raise BpkdError(f"{folder.url}/{entry.path} is damaged: its sha256 is not the manifest's; {_REMEDY}")
