"""Copies of remote files on the local disk, by their sha256, in a folder that processes share, within a limit."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from pipeline.storage.causes import cause
from pipeline.storage.files import sha256
from pipeline.storage.local import is_temporary, temporary_name

_log = logging.getLogger("bpkd.storage")

ENVIRONMENT = "BPKD_CACHE"
"""Names the directory that takes the copies, in `shards`; by default the user's cache directory."""

_COPY = re.compile(r"[0-9a-f]{64}")
_WRITING = 10.0
"""Seconds that a copy waits for those that others write; whoever holds the lock writes one file."""

_FETCHING = 60.0
"""Seconds that a process waits for another one to fetch the same file."""


def disk_cache(limit: int) -> DiskCache | None:
    """The copies that so many bytes leave room for, the same object for all of a process; None where it is 0."""
    return _opened(cache_folder(), limit) if limit else None


def cache_folder() -> Path:
    """Where this machine's copies lie."""
    given = os.environ.get(ENVIRONMENT)
    return (Path(given).expanduser().absolute() if given else user_cache_path("bpkd")) / "shards"


class DiskCache:
    """Copies of files that are known by sha256 and size.

    Whoever writes holds a lock, makes room first (what was used least recently goes) and writes under a temporary
    name: the copies of all processes never take more than `limit`. Reading a copy takes no lock between processes: it
    is what its sha256 says, or is thrown away. A folder that cannot be used costs one warning, and each file is then
    fetched every time.

    Args:
        folder: shared by processes of one machine; made when first needed.
        limit: bytes of all copies.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._writing = threading.Lock()
        # By the first byte of the sha256: of those that want the same file one fetches it.
        self._fetching = [threading.Lock() for _ in range(256)]
        self._counted = False
        self._broken = False

    def read(self, digest: str, size: int, fetch: Callable[[], bytes]) -> bytes:
        """The bytes with this sha256, from their copy or from `fetch`, which is trusted to give them.

        Args:
            digest: the sha256, in hexadecimal digits.
            size: bytes of the file.
            fetch: gets them from where they lie; what it raises comes through, and nothing is kept.
        """
        with self._fetching[int(digest[:2], 16)]:
            data = self._copy(digest, size)
            if data is not None:
                return data
            with self._others_wait(digest, size):
                data = self._copy(digest, size)
                if data is None:
                    data = fetch()
                    self._keep(digest, data)
        return data

    def has(self, digest: str, size: int) -> bool:
        """Whether there is a copy, unchecked, which then counts as used now."""
        path = self.folder / digest
        with suppress(OSError):
            found = path.stat().st_size == size
            _touch(path)
            return found
        return False

    def takes(self, size: int) -> bool:
        """Whether a file of so many bytes can be kept at all."""
        return not self._broken and size <= self.limit

    def _copy(self, digest: str, size: int) -> bytes | None:
        path = self.folder / digest
        try:
            data = path.read_bytes() if path.stat().st_size == size else b""
        except FileNotFoundError:
            return None
        except OSError as error:
            self._give_up(error)
            return None
        if sha256(data) != digest:
            _log.warning("%s is damaged; it is fetched again", path)
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            _touch(path)
        return data

    @contextmanager
    def _others_wait(self, digest: str, size: int) -> Iterator[None]:
        """Let other processes wait, for a while, with fetching the same: the ranks of a training read in step."""
        with ExitStack() as held:
            if self.takes(size):
                with suppress(OSError):  # then all fetch it
                    self._make_folder()
                    lock = FileLock(self.folder / f"fetching-{digest[:2]}", timeout=_FETCHING)
                    held.enter_context(lock.acquire(poll_interval=0.02))
            yield

    def _keep(self, digest: str, data: bytes) -> None:
        if not self.takes(len(data)):
            return
        try:
            with self._locked():
                self._write(self.folder / digest, data)
        except Timeout:
            _log.debug("%s is not kept: others have been writing for %d seconds", digest, _WRITING)
        except OSError as error:
            self._give_up(error)

    def _write(self, path: Path, data: bytes) -> None:
        if path.exists():
            return
        self._make_room(len(data))
        temporary = temporary_name(str(path))
        try:
            # Not brought to the disk with fsync: what a power cut damages is found by its sha256.
            Path(temporary).write_bytes(data)
            _touch(temporary)
            os.replace(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._make_folder()
        with self._writing, FileLock(self.folder / "lock", timeout=_WRITING).acquire(poll_interval=0.01):
            yield

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # others may not be meant to see the data

    def _make_room(self, size: int) -> None:
        """Count `size` bytes as used, after removing what they would be too much with.

        The file `used` saves looking at all files every time. It is never less than what is there: a file is counted
        before it is written, and a process that begins counts for itself.
        """
        counter = self.folder / "used"
        try:
            used = int(counter.read_text()) if self._counted else None
        except (FileNotFoundError, ValueError):
            used = None
        if used is None or used + size > self.limit:
            used = self._evict(self.limit - size)
        counter.write_text(str(used + size))
        self._counted = True

    def _evict(self, room: int) -> int:
        """Remove the least recently used until no more than `room` bytes are left; returns how many.

        Many small files make place for some more at once, as each time all have to be looked at.
        """
        copies = sorted(self._copies())
        used, slack = sum(size for _, size, _ in copies), self.limit // 20
        for _, size, path in copies:
            if used <= room and (used <= room - slack or size > slack):
                break
            with suppress(FileNotFoundError):
                os.unlink(path)
            used -= size
        return used

    def _copies(self) -> Iterator[tuple[int, int, str]]:
        """(when used, bytes, path) of all copies; removes what a writer that was killed left, as none is at work."""
        for item in os.scandir(self.folder):
            with suppress(FileNotFoundError):
                if _COPY.fullmatch(item.name):
                    found = item.stat()
                    yield found.st_mtime_ns, found.st_size, item.path
                elif is_temporary(item.name):
                    os.unlink(item.path)

    def _give_up(self, error: OSError) -> None:
        with self._writing:
            said, self._broken = self._broken, True
        if not said:
            _log.warning("no more copies of remote files are kept in %s (%s)", self.folder, cause(error))


def _touch(path: str | Path) -> None:
    """Say that a copy is used now; the time that the system gives by itself is too coarse to tell what came first."""
    now = time.time_ns()
    os.utime(path, ns=(now, now))


@lru_cache(maxsize=16)
def _opened(folder: Path, limit: int) -> DiskCache:
    return DiskCache(folder, limit)
