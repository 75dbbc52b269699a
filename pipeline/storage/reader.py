"""A file being read: its reads fail later than its opening, and are tried again as everything else is."""

from __future__ import annotations

import errno
import io
import os
from typing import Any

from pipeline.storage.place import Place


class Reader(io.BufferedIOBase):
    """A file for reading, wherever it lies.

    A read that fails for good raises BpkdError, so that a reader of Parquet or tar files on top of it can take an
    OSError of its own for damage. The position is kept here, as all handles of one file in memory share theirs.

    Args:
        place: where it lies.
        path: within that file system.
        name: the file's name within the place, for messages; empty where the place is the file itself.

    Raises:
        FileNotFoundError, IsADirectoryError, NotADirectoryError: there is no such file.
    """

    def __init__(self, place: Place, path: str, name: str = "") -> None:
        self._place, self._path, self._name = place, path, name
        self._position = 0
        self._file: Any = None
        self._file = place.do("read", lambda: place.fs.open(path, "rb"), name)

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes, fewer only at the end of the file; all of the rest by default."""
        data = self._place.do("read", lambda: self._read(-1 if size is None else size), self._name)
        self._position += len(data)
        return data

    read1 = read

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_CUR:
            offset += self._position
        elif whence == os.SEEK_END:
            offset += self._place.do("read", lambda: int(self._file.seek(0, os.SEEK_END)), self._name)
        if offset < 0:
            raise OSError(errno.EINVAL, "negative seek position")  # what zipfile expects of a file that is too short
        self._position = offset
        return offset

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if self._file is not None and not self.closed:
            self._file.close()
        super().close()

    def _read(self, size: int) -> bytes:
        self._file.seek(self._position)
        data: bytes = self._file.read(size)
        return data
