"""Image folders: one directory per class, or a flat directory of images without labels."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from pipeline.sources.base import Record
from pipeline.sources.files import IMAGE_EXTENSIONS, expand
from pipeline.sources.paths import read_bytes, relative, sanitise
from schemas.errors import UserError
from schemas.sections import Columns


class FolderSource:
    """Images in directories. The names of the directories are the class names.

    Rows take one image of every class in turn, so that the first N rows are a fair sample of a few classes' worth.

    Args:
        files: URLs of directories, globs or single images; each counts as one file of the source.
        columns: unused, a folder has none.
        content: must be image.
        root: directory that keys are relative to.
    """

    def __init__(self, files: list[str], columns: Columns, content: str, root: str) -> None:
        if content != "image":
            raise UserError(f'{files[0]}: a folder of images takes data.kind = "image"')
        self._files, self._root = files, root

    def sizes(self) -> list[tuple[str, int]]:
        return [(file, len(rows)) for file, rows in self._rows.items()]

    def keys(self, file: str) -> list[str]:
        images: dict[str, str] = {}
        for url, _ in self._rows[file]:
            key = self._key(url)
            if key in images:
                raise UserError(f"{images[key]} and {url} give the same key {key!r}; rename one")
            images[key] = url
        return list(images)

    def read(self, file: str, start: int, stop: int) -> Iterator[Record]:
        for url, label in self._rows[file][start:stop]:
            yield Record(self._key(url), read_bytes(url), label)

    def class_names(self) -> list[str] | None:
        names = {label for rows in self._rows.values() for _, label in rows if label is not None}
        return sorted(names) or None

    def parts(self, file: str) -> list[str]:
        return [url for url, _ in self._rows[file]]

    def _key(self, url: str) -> str:
        return sanitise(posixpath.splitext(relative(url, self._root))[0])

    @cached_property
    def _rows(self) -> dict[str, list[tuple[str, str | None]]]:
        """For every file of the source the images and their classes."""
        return {file: _images(file) for file in self._files}


def _images(entry: str) -> list[tuple[str, str | None]]:
    item = expand(entry)
    classes: dict[str | None, list[str]] = defaultdict(list)
    for url in item.files:
        if posixpath.splitext(url)[1].lower() in IMAGE_EXTENSIONS:
            above, _, _ = relative(url, item.base).rpartition("/")
            classes[above.split("/")[0] or None].append(url)
    if None in classes and len(classes) > 1:
        raise UserError(
            f"{entry}: images lie both beside and inside the class folders, for example {classes[None][0]}; "
            "move them into a class folder"
        )
    turns = [
        (turn, label or "", url, label) for label, images in classes.items() for turn, url in enumerate(sorted(images))
    ]
    return [(url, label) for _, _, url, label in sorted(turns, key=lambda row: row[:3])]
