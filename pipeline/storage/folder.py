"""A directory at any fsspec URL."""

from __future__ import annotations

import errno
import io
import os
import posixpath
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from pipeline.storage import local
from pipeline.storage.causes import is_there_already
from pipeline.storage.place import Place
from pipeline.storage.reader import Reader
from schemas.errors import BpkdError

_MEMORY = threading.Lock()
"""fsspec's memory checks and writes in two steps."""
_REMOVALS = 10


class Folder:
    """A directory, local or remote.

    Names are relative, with forward slashes. `write` is atomic: a temporary name and a rename on file systems, a
    single put on object stores (which show an object only when it is complete). Nothing is remembered of what is
    there, so what other processes write is seen at once.

    Where a remote store fails for a while, every method tries again, see `pipeline.storage.faults`.

    Attributes:
        url: its URL, without a slash at the end.

    Raises:
        UserError: there is no such kind of URL, or the bucket does not exist (from any method).
        BpkdError: the store cannot be reached or refuses, the disk is full (from any method).
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") or url
        self._place = Place(self.url)
        self._fs, self._root = self._place.fs, self._place.path

    def __truediv__(self, name: str) -> Folder:
        return Folder(f"{self.url}/{name}")

    def path(self, name: str = "") -> str:
        """The path of `name` within the file system."""
        return posixpath.join(self._root, name) if name else self._root

    @property
    def local(self) -> Path | None:
        """The directory itself when it is on this machine."""
        return Path(self._root) if self._place.local else None

    def exists(self, name: str = "") -> bool:
        return self._place.info(self.path(name)) is not None

    def is_directory(self) -> bool:
        """Whether it is there as a directory, which may be empty where the store has such."""
        info = self._place.info(self._root)
        return info is not None and info["type"] == "directory"

    def is_file(self) -> bool:
        """Whether a file is there instead; a web server, which tells of no directories, never says so here."""
        info = self._place.info(self._root)
        return info is not None and info["type"] == "file" and not self._place.protocols & {"http", "https"}

    def refuse_file(self) -> None:
        """Make sure, before long work, that no file of this machine is where the directory or one above it belongs.

        Raises:
            UserError: there is one.
        """
        if self._place.local:
            self._place.do("written", lambda: local.refuse_file(self._root))

    def size(self, name: str) -> int:
        """Bytes of a file.

        Raises:
            FileNotFoundError: there is none.
        """
        info = self._place.info(self.path(name))
        if info is None:
            raise FileNotFoundError(f"{self.url}/{name}")
        return int(info["size"])

    def names(self) -> list[str]:
        """Names of the files directly inside, sorted; empty when there is no such directory."""
        return sorted(name for name, item in self._items() if item["type"] != "directory")

    def folders(self) -> list[str]:
        """Names of the directories directly inside, sorted; empty when there is no such directory."""
        return sorted(name for name, item in self._items() if item["type"] == "directory")

    def find(self) -> dict[str, int]:
        """Bytes of every file below, however deep, by its relative name, sorted; empty when there is none.

        Links count as files, also those to directories; nothing is followed.
        """
        return dict(sorted(self._found()))

    def open(self, name: str) -> IO[bytes]:
        """The file for reading; its reads are tried again as those of `read` are.

        Raises:
            FileNotFoundError: there is none.
        """
        self._require_plain(name)
        with _absent_below_a_file():
            return cast(IO[bytes], Reader(self._place, self.path(name), name))

    def read(self, name: str) -> bytes:
        """The whole file.

        Raises:
            FileNotFoundError: there is none.
        """
        self._require_plain(name)
        with _absent_below_a_file():
            data: bytes = self._place.do("read", lambda: self._fs.cat_file(self.path(name)), name)
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write `name` as a whole, replacing what was there."""
        self._place.do("written", lambda: self._write(self.path(name), data), name)

    def take(self, name: str, folder: Folder, other: str) -> None:
        """Write `name` as what the file `other` of another folder is, as a whole, replacing what was there.

        On one file system it is linked, in one object store copied there; else its bytes go through memory.

        Raises:
            FileNotFoundError: there is no such file.
        """
        if not self._place.do("taken over", lambda: self._took(self.path(name), folder, folder.path(other)), name):
            self.write(name, folder.read(other))

    def write_blocks(self, name: str, blocks: Iterable[bytes]) -> None:
        """Write `name` as a whole, replacing what was there; what `blocks` raises comes through, nothing is written.

        On this machine one block is in memory at a time, for a remote store all of them are.
        """
        if self._place.local:
            self._place.do("written", lambda: local.replace(self.path(name), blocks), name)
        else:
            whole = io.BytesIO()  # which gives its bytes away without a copy
            whole.writelines(blocks)
            self.write(name, whole.getvalue())

    def create(self, name: str, data: bytes) -> bool:
        """Write `name` as a whole unless it is there; of several that try at once, exactly one succeeds.

        Args:
            name: of the file.
            data: its bytes. They should tell the caller from all others: in a remote store, where a client may ask
                twice on a broken connection, a file with the very same bytes is taken for the caller's own.

        Returns:
            Whether this call made it.
        """
        return self._place.do("created", lambda: self._create(self.path(name), data), name)

    def remove(self, name: str = "") -> None:
        """Remove a file, or a directory with all that is in it; nothing happens when it is absent."""
        path = self.path(name)
        if self._place.local:
            self._place.do("removed", lambda: self._remove_local(path), name)
            return
        with suppress(FileNotFoundError):
            found = self._place.find(path)
            if found != [path]:
                self._place.do("removed", lambda: self._fs.rm(path, recursive=True), name)
                # A bulk delete may leave out in silence what it must not delete; deleting that one says why.
                found = sorted(set(found) & set(self._place.find(path)))
            for file in found:
                self._place.do("removed", partial(self._fs.rm_file, file), name)

    def remove_if_empty(self, name: str = "") -> None:
        """Remove a directory on this machine that has nothing in it; object stores have no such thing."""
        if self._place.local:
            with suppress(OSError):
                os.rmdir(self.path(name))

    def _require_plain(self, name: str) -> None:
        """A pipe or a device would be waited for, or read, for ever."""
        path = self.path(name)
        if self._place.local and os.path.exists(path) and not os.path.isfile(path):
            raise BpkdError(f"{self.url}/{name} is not a plain file")

    def _write(self, target: str, data: bytes) -> None:
        if self._place.local:
            local.replace(target, [data])
        elif self._place.object_store:
            self._fs.pipe_file(target, data)
        else:
            self._fs.makedirs(posixpath.dirname(target), exist_ok=True)
            temporary = local.temporary_name(target)
            try:
                self._fs.pipe_file(temporary, data)
                self._fs.mv(temporary, target)
            except BaseException:
                with suppress(Exception):
                    self._fs.rm_file(temporary)
                raise

    def _took(self, target: str, folder: Folder, source: str) -> bool:
        if self._place.local and folder._place.local:
            return local.link(source, target)
        if self._place.object_store and self._fs is folder._fs:
            self._fs.cp_file(source, target)
            return True
        return False

    def _create(self, target: str, data: bytes) -> bool:
        try:
            if self._place.local:
                local.create(target, data)
            elif self._place.object_store:
                with _MEMORY if "memory" in self._place.protocols else nullcontext():
                    self._fs.pipe_file(target, data, mode="create")
            else:
                self._fs.makedirs(posixpath.dirname(target), exist_ok=True)
                with self._fs.open(target, "xb") as file:
                    file.write(data)
        except Exception as error:
            if not is_there_already(error):
                raise
            return not self._place.local and self._has(target, data)
        return True

    def _has(self, path: str, data: bytes) -> bool:
        try:
            return bool(self._fs.cat_file(path) == data)
        except FileNotFoundError:
            return False

    def _items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(name, info) of what is directly inside; a file instead of a directory has nothing inside."""
        if not self._place.local and not self._place.object_store:
            self._fs.invalidate_cache()
        try:
            found = self._place.do("listed", lambda: self._fs.ls(self._root, detail=True))
        except (FileNotFoundError, NotADirectoryError):
            return
        for item in found:
            path = item["name"].rstrip("/")
            if path != self._root.rstrip("/"):
                yield posixpath.basename(path), item

    def _found(self) -> Iterator[tuple[str, int]]:
        if self._place.object_store:
            start = self._root.rstrip("/") + "/"
            try:
                found = self._place.do("listed", lambda: self._fs.find(self._root, detail=True))
            except FileNotFoundError:
                return
            for path, item in found.items():
                if path.startswith(start) and not path.endswith("/"):
                    yield path[len(start) :], int(item["size"])
            return
        for name, item in self._items():
            if item["type"] == "directory":
                yield from ((f"{name}/{path}", size) for path, size in (self / name)._found())
            else:
                yield name, int(item["size"] or 0)

    @staticmethod
    def _remove_local(path: str) -> None:
        """Another process may remove the same, so what is gone is not missed."""
        for _ in range(_REMOVALS):
            try:
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)
            except (FileNotFoundError, NotADirectoryError):
                if os.path.lexists(path):
                    continue
            return


@contextmanager
def _absent_below_a_file() -> Iterator[None]:
    """Where a file lies instead of a directory, nothing lies in it."""
    try:
        yield
    except NotADirectoryError as error:
        raise FileNotFoundError(errno.ENOENT, error.strerror, error.filename) from None
