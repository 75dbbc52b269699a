"""Files in blocks, so that no file has to fit in memory: checked as they are read, hashed where they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from pipeline.storage import Folder, shown
from schemas.errors import BpkdError
from schemas.manifest import FileEntry

BLOCK = 2**20


class Damaged(BpkdError):
    """A file is not what a manifest promises."""


def checked_blocks(folder: Folder, entry: FileEntry, read: Callable[[int], None]) -> Iterator[bytes]:
    """The bytes of a file that a manifest lists; it raises after the last block where they are others.

    Args:
        folder: of the manifest.
        entry: of the file.
        read: called with the number of bytes of every block.

    Raises:
        Damaged: the file is missing, or its size or sha256 is not what the manifest promises.
    """
    place = f"{shown(folder.url)}/{entry.path}"
    digest, size = hashlib.sha256(), 0
    try:
        file = folder.open(entry.path)
    except FileNotFoundError:
        raise Damaged(f"{place} is missing, though the manifest lists it") from None
    with file:
        while size <= entry.bytes and (block := file.read(BLOCK)):
            size += len(block)
            digest.update(block)
            read(len(block))
            yield block
    if size != entry.bytes:
        found = size if size < entry.bytes else folder.size(entry.path)
        raise Damaged(f"{place} has {found:,} bytes, the manifest promises {entry.bytes:,}")
    if digest.hexdigest() != entry.sha256:
        raise Damaged(f"{place} is damaged: its sha256 is not the manifest's")


def has(folder: Folder, entry: FileEntry, check: Callable[[], None]) -> bool:
    """Whether a folder has a file as a manifest lists it; `check` is called for every block and may raise.

    Raises:
        BpkdError: it cannot be read.
    """
    try:
        for _ in checked_blocks(folder, entry, lambda _: check()):
            pass
    except Damaged:
        return False
    return True
