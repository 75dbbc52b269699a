"""What CSV and JSON lines share: rows found once per file and read by their place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import IO, Any

from pipeline.sources.base import Record
from pipeline.sources.columns import Field, Roles, find_roles
from pipeline.sources.labels import as_number
from pipeline.sources.lines import Spans, row_spans
from pipeline.sources.paths import beside, read_bytes, row_keys, user_key
from pipeline.storage import open_file
from schemas.errors import SampleError, UserError
from schemas.sections import Columns

SAMPLE_ROWS = 100
"""Rows that tell what the columns hold."""

_ROWS = 4096
_INDEXES = 16


class TextTable(ABC):
    """Rows of text files.

    Args:
        files: URLs.
        columns: which column holds what; found by name when left out.
        content: image, tensor or text, see `Kind.column`. Image paths are relative to the file.
        root: directory that keys are relative to.
    """

    quoted: bool
    """Whether a line break inside double quotes belongs to the row."""

    header: int
    """Rows at the top that are no samples."""

    def __init__(self, files: list[str], columns: Columns, content: str, root: str) -> None:
        self._files, self._columns, self._root = files, columns, root
        self.content = content
        self._sizes: dict[str, int] = {}
        self._open: tuple[str, IO[bytes]] | None = None
        self._spans = lru_cache(_INDEXES)(self._read_spans)

    @abstractmethod
    def fields(self, file: str) -> list[Field]:
        """The columns, told from the first rows."""

    @abstractmethod
    def rows(self, file: str, start: int, stop: int) -> Iterator[tuple[Any, Any, Any]]:
        """(key, payload, label) of rows, None where missing; the payload is a path for images, for text a tuple."""

    @abstractmethod
    def values(self, file: str, start: int, stop: int, name: str) -> Iterator[Any]:
        """One column of rows, None where missing."""

    def sizes(self) -> list[tuple[str, int]]:
        return [(file, self._count(file)) for file in self._files]

    def keys(self, file: str) -> Iterator[str]:
        count, name = self._count(file), self.roles.key
        if name is None:
            return row_keys(file, self._root, range(count))
        return (self._key(file, row, value) for row, value in enumerate(self._column(file, name)))

    def read(self, file: str, start: int, stop: int) -> Iterator[Record]:
        for row, (key, payload, label) in enumerate(self.rows(file, start, stop), start):
            if payload is None:
                payload = SampleError(f"no {self.roles.payload[0]!r} in this row")
            elif self.content == "image" and not isinstance(payload, SampleError):
                payload = read_bytes(beside(file, str(payload)))
            yield Record(self._key(file, row, key), payload, label)

    def class_names(self) -> list[str] | None:
        """The texts in the label column, sorted, unless all of them are numbers."""
        name = self.roles.label
        if name is None:
            return None
        found = {value for file in self._files for value in self._column(file, name) if isinstance(value, str)}
        return sorted(found) if any(as_number(value) is None for value in found) else None

    def parts(self, file: str) -> list[str]:
        """The file and the images that it refers to."""
        if self.content != "image":
            return [file]
        paths = self._column(file, self.roles.payload[0])
        return [file, *(beside(file, str(path)) for path in paths if path is not None)]

    @cached_property
    def roles(self) -> Roles:
        """The columns to read, the same for all files."""
        return find_roles(self._columns, self.content, self.fields(self._files[0]), self._files[0])

    def texts(self, file: str, start: int, stop: int) -> list[bytes]:
        """The bytes of rows, which count from the top of the file."""
        spans = self._spans(file)[start:stop]
        if not len(spans):
            return []
        handle, first = self._handle(file), int(spans[0, 0])
        handle.seek(first)
        data = handle.read(int(spans[-1, 1]) - first)
        return [data[low:high] for low, high in (spans - first).tolist()]

    def _count(self, file: str) -> int:
        if file not in self._sizes:
            self._sizes[file] = max(0, len(self._spans(file)) - self.header)
        return self._sizes[file]

    def _column(self, file: str, name: str) -> Iterator[Any]:
        count = self._count(file)
        for start in range(0, count, _ROWS):
            yield from self.values(file, start, min(start + _ROWS, count), name)

    def _key(self, file: str, row: int, value: Any) -> str:
        return next(row_keys(file, self._root, [row])) if value is None else user_key(value)

    def _read_spans(self, file: str) -> Spans:
        handle = self._handle(file)
        handle.seek(0)
        return row_spans(handle, self.quoted)

    def _handle(self, file: str) -> IO[bytes]:
        if self._open is None or self._open[0] != file:
            try:
                self._open = file, open_file(file)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise UserError(f"{file}: no such file") from None
        return self._open[1]
