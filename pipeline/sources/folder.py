"""Folders of images or texts: one directory per class, or a flat directory without labels."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from pipeline.sources.base import Record
from pipeline.sources.contents import decoded
from pipeline.sources.files import IMAGE_EXTENSIONS, TEXT_EXTENSION, expand
from pipeline.sources.paths import read_bytes, relative, sanitise
from schemas.errors import UserError
from schemas.sections import Columns

_EXTENSIONS = {"image": IMAGE_EXTENSIONS, "text": (TEXT_EXTENSION,)}
"""By content."""


class FolderSource:
    """Images or texts in directories, one to a file. The names of the directories are the class names.

    Rows take one file of every class in turn, so that the first N rows are a fair sample of a few classes' worth.

    Args:
        files: URLs of directories, globs or single files; each counts as one file of the source.
        columns: unused, a folder has none.
        content: image or text.
        root: directory that keys are relative to.
    """

    def __init__(self, files: list[str], columns: Columns, content: str, root: str) -> None:
        if content not in _EXTENSIONS:
            raise UserError(f'{files[0]}: a folder takes data.kind = "image" or "text"')
        self._files, self._content, self._root = files, content, root

    def sizes(self) -> list[tuple[str, int]]:
        return [(file, len(rows)) for file, rows in self._rows.items()]

    def keys(self, file: str) -> list[str]:
        files: dict[str, str] = {}
        for url, _ in self._rows[file]:
            key = self._key(url)
            if key in files:
                raise UserError(f"{files[key]} and {url} give the same key {key!r}; rename one")
            files[key] = url
        return list(files)

    def read(self, file: str, start: int, stop: int) -> Iterator[Record]:
        for url, label in self._rows[file][start:stop]:
            data = read_bytes(url)
            if self._content == "text" and isinstance(data, bytes):
                yield Record(self._key(url), decoded([data]), label)
            else:
                yield Record(self._key(url), data, label)

    def class_names(self) -> list[str] | None:
        names = {label for rows in self._rows.values() for _, label in rows if label is not None}
        return sorted(names) or None

    def parts(self, file: str) -> list[str]:
        return [url for url, _ in self._rows[file]]

    def _key(self, url: str) -> str:
        return sanitise(posixpath.splitext(relative(url, self._root))[0])

    @cached_property
    def _rows(self) -> dict[str, list[tuple[str, str | None]]]:
        """For every file of the source what it stands for, with classes."""
        return {file: _samples(file, self._content) for file in self._files}


def _samples(entry: str, content: str) -> list[tuple[str, str | None]]:
    item = expand(entry)
    classes: dict[str | None, list[str]] = defaultdict(list)
    for url in item.files:
        if posixpath.splitext(url)[1].lower() in _EXTENSIONS[content]:
            above, _, _ = relative(url, item.base).rpartition("/")
            classes[above.split("/")[0] or None].append(url)
    if not classes:
        takes = ", ".join(_EXTENSIONS[content])
        raise UserError(f'{entry}: no file of data.kind = "{content}" ({takes}), but for example {item.files[0]}')
    if None in classes and len(classes) > 1:
        raise UserError(
            f"{entry}: files lie both beside and inside the class folders, for example {classes[None][0]}; "
            "move them into a class folder, or name what is inside by a glob: FOLDER/*/*.EXTENSION"
        )
    turns = [
        (turn, label or "", url, label) for label, files in classes.items() for turn, url in enumerate(sorted(files))
    ]
    return [(url, label) for _, _, url, label in sorted(turns, key=lambda row: row[:3])]
