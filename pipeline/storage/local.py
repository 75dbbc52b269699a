"""Writes on this machine's file systems: whole or absent, and on the disk when they return."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

_TEMPORARY = re.compile(r".+\.[0-9a-f]{12}\.tmp")
_TRIES = 20
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def temporary_name(target: str) -> str:
    """A name beside `target` that nobody else has, also not on another machine; `.tmp` tells that it may go."""
    return f"{target}.{secrets.token_hex(6)}.tmp"


def is_temporary(name: str) -> bool:
    """Whether a name is such a one, left by a writer that was killed unless it is still at work."""
    return _TEMPORARY.fullmatch(name) is not None


def make_folder(path: str) -> None:
    """Make a directory unless it is there.

    Raises:
        NotADirectoryError: as `refuse_file`.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except (FileExistsError, NotADirectoryError):  # the first would say that what is to be written in it is there
        refuse_file(path)
        raise


def refuse_file(path: str) -> None:
    """Make sure that a directory is there, or can be made.

    Raises:
        NotADirectoryError: a file is there, or where a directory above belongs; it names that file.
    """
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)


def replace(target: str, blocks: Iterable[bytes]) -> None:
    """Write a file as a whole, in place of what was there; nothing is written where `blocks` raises."""
    with _written(target, blocks) as temporary:
        os.replace(temporary, target)
        _sync_folder(target)


def link(source: str, target: str) -> bool:
    """Give a file a second name, in place of what was there.

    Files are replaced and never changed, so that it is as good as a copy.

    Returns:
        Whether the file system could; it cannot from one to another.

    Raises:
        FileNotFoundError: there is no file `source`.
    """
    temporary = temporary_name(target)
    make_folder(os.path.dirname(target))
    try:
        os.link(source, temporary)
    except OSError as error:
        if error.errno not in {*_NO_LINKS, errno.EXDEV}:
            raise
        return False
    os.replace(temporary, target)
    with suppress(FileNotFoundError):  # where both were one file already, renaming does nothing
        os.unlink(temporary)
    _sync_folder(target)
    return True


def create(target: str, data: bytes) -> None:
    """Write a file as a whole where there is none.

    Raises:
        FileExistsError: there is one.
    """
    with _written(target, [data]) as temporary:
        try:
            os.link(temporary, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _create_unlinked(target, data)
        _sync_folder(target)


def _create_unlinked(target: str, data: bytes) -> None:
    """Where there are no links, nobody else can create the file, but it may be seen while it is still being written."""
    with open(target, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _written(target: str, blocks: Iterable[bytes]) -> Iterator[str]:
    """A temporary file with `blocks` beside `target`, gone at the end."""
    temporary = temporary_name(target)
    opened = _opened(temporary)
    try:
        with opened as file:
            file.writelines(blocks)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _opened(path: str) -> IO[bytes]:
    """A new file, in a directory that another process may be removing for being empty."""
    for _ in range(_TRIES):
        make_folder(os.path.dirname(path))
        with suppress(FileNotFoundError):
            return open(path, "xb")
    return open(path, "xb")


def _sync_folder(target: str) -> None:
    """Bring the new name to the disk: a manifest must not outlive a power cut that the files it lists did not."""
    if os.name != "posix":
        return
    folder = os.open(os.path.dirname(target), os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have no such thing
            raise
    finally:
        os.close(folder)
