"""The bytes of files that a manifest lists: there, of the promised size, with the promised sha256."""

from __future__ import annotations

import hashlib
from io import BytesIO

from pipeline.storage import Folder, sha256
from schemas.errors import BpkdError
from schemas.manifest import FileEntry


def read_checked(folder: Folder, entry: FileEntry) -> bytes:
    """The bytes of a file.

    Raises:
        BpkdError: the file is missing, or its size or sha256 is not what the manifest promises.
    """
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
        raise BpkdError(f"{folder.url}/{entry.path} is missing, though the manifest lists it") from None
    if size != entry.bytes:
        raise BpkdError(f"{folder.url}/{entry.path} has {size} bytes, the manifest promises {entry.bytes}")


def _check_sha256(folder: Folder, entry: FileEntry, found: str) -> None:
    if found != entry.sha256:
        raise BpkdError(f"{folder.url}/{entry.path} is damaged: its sha256 is not the manifest's")
