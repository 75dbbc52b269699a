"""The one place that touches files: a directory at any fsspec URL, with writes that are whole or absent."""

from __future__ import annotations

import hashlib
import os
import posixpath
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import BpkdError, UserError


class Folder:
    """A directory, local or remote.

    Names are relative, with forward slashes. `write` is atomic: a temporary name and a rename on file systems, a
    single put on object stores (which show an object only when it is complete).
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") or url
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise UserError(f"{url}: {error}") from None

    def __truediv__(self, name: str) -> Folder:
        return Folder(f"{self.url}/{name}")

    def path(self, name: str = "") -> str:
        """The path of `name` within the file system."""
        return posixpath.join(self._root, name) if name else self._root

    @property
    def local(self) -> Path | None:
        """The directory itself when it is on this machine."""
        return Path(self._root) if isinstance(self._fs, LocalFileSystem) else None

    def exists(self, name: str = "") -> bool:
        return bool(self._fs.exists(self.path(name)))

    def names(self) -> list[str]:
        """Names of the files directly inside, sorted; empty when there is no such directory."""
        return self._list("file")

    def folders(self) -> list[str]:
        """Names of the directories directly inside, sorted; empty when there is no such directory."""
        return self._list("directory")

    def open(self, name: str) -> IO[bytes]:
        handle: IO[bytes] = self._fs.open(self.path(name), "rb")
        return handle

    def read(self, name: str) -> bytes:
        data: bytes = self._fs.cat_file(self.path(name))
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write `name` as a whole, replacing what was there."""
        target = self.path(name)
        if self.local is None:
            self._fs.makedirs(posixpath.dirname(target), exist_ok=True)
            self._fs.pipe_file(target, data)
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temporary = f"{target}.{os.getpid()}.tmp"
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)

    def _list(self, type_: str) -> list[str]:
        try:
            found = self._fs.ls(self._root, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(posixpath.basename(item["name"].rstrip("/")) for item in found if item["type"] == type_)

    def remove(self, name: str = "") -> None:
        """Remove a file, or a directory with all that is in it; nothing happens when it is absent."""
        if self.exists(name):
            self._fs.rm(self.path(name), recursive=True)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_fingerprint(url: str) -> dict[str, Any]:
    """What identifies the content of one file: size and sha256 locally, size and the store's own tag remotely.

    Raises:
        UserError: there is no such file.
        BpkdError: it cannot be read.
    """
    fs, path = fsspec.core.url_to_fs(url)
    try:
        info = fs.info(path)
        if isinstance(fs, LocalFileSystem) or "memory" in fs.protocol:
            with fs.open(path, "rb") as file:
                return {"bytes": info["size"], "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        return {"bytes": info["size"], "tag": str(info.get("ETag") or fs.ukey(path))}
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{url}: no such file") from None
    except OSError as error:
        raise BpkdError(f"{url} cannot be read: {error.strerror or error}") from None
