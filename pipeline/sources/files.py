"""From what the config names (file, directory, glob, URL, a list of them) to files and their format."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipeline.sources.paths import common_root, relative
from schemas.errors import UserError

IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".tar": "webdataset",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".npy": "numpy",
    ".npz": "numpy",
    **dict.fromkeys(IMAGE_EXTENSIONS, "folder"),
}
_TAKES = "Parquet, tar, CSV, JSONL, .npy, .npz or image files"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a config names.

    Attributes:
        format: name in SOURCES.
        files: sorted URLs; for image folders the directories, globs or images as they were named.
        root: the directory that keys are relative to.
    """

    format: str
    files: list[str]
    root: str


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of `data.train`: the files that it stands for and the directory that they are relative to."""

    url: str
    base: str
    files: list[str]
    is_file: bool


def find_files(
    given: str | Sequence[str], locate: Callable[[str], str], format: str | None = None, setting: str = "data.train"
) -> Listing:
    """Expand what the config names and tell its format from the extensions unless it is given.

    Raises:
        UserError: nothing there, an empty glob or directory, files of no known or of several formats.
    """
    items = [expand(locate(entry), setting) for entry in ([given] if isinstance(given, str) else given)]
    if not items:
        raise UserError(f"{setting} is an empty list; name a file, directory, glob or URL")
    format = format or _infer(items, setting)
    if format == "folder":
        files = [item.url for item in items]
    else:
        files = [file for item in items for file in _of_format(item, format, setting)]
    return Listing(format, sorted(set(files)), common_root([item.base for item in items]))


def expand(url: str, setting: str = "data.train") -> Item:
    """The files behind a file, directory, glob or fsspec URL, sorted; hidden ones are left out.

    Raises:
        UserError: nothing there.
    """
    try:
        fs, path = fsspec.core.url_to_fs(url)
        is_glob = any(sign in path for sign in "*?[") and not fs.exists(path)
        if is_glob:
            base, found = _fixed_part(path), _glob(fs, path)
        elif fs.isdir(path):
            base, found = path, fs.find(path)
        elif fs.exists(path):
            return Item(_url(fs, path), _url(fs, posixpath.dirname(path)), [_url(fs, path)], is_file=True)
        else:
            raise UserError(f"{setting}: {url}: no such file or directory")
    except (ValueError, ImportError, OSError) as error:
        raise UserError(f"{setting}: {url}: {error}") from None
    files = sorted(_url(fs, file) for file in found if not _hidden(relative(file, base)))
    if not files:
        what = "matches no file (a directory is named without *)" if is_glob else "is an empty directory"
        raise UserError(f"{setting}: {url} {what}")
    return Item(_url(fs, path), _url(fs, base), files, is_file=False)


def _infer(items: Sequence[Item], setting: str) -> str:
    """The one format of all items."""
    examples: dict[str, str] = {}
    for item in items:
        for file in item.files:
            format = _FORMATS.get(_extension(file))
            if format is None and item.is_file:
                raise UserError(f"{setting}: {file} is none of {_TAKES}; data.format can name a format")
            if format is not None:
                examples.setdefault(format, file)
    if not examples:
        raise UserError(f"{setting}: {items[0].url} holds no {_TAKES}, but for example {items[0].files[0]}")
    if len(examples) > 1:
        mixed = ", ".join(f"{format} ({file})" for format, file in sorted(examples.items()))
        raise UserError(f"{setting} mixes formats: {mixed}; name files of one format, or set data.format")
    return next(iter(examples))


def _of_format(item: Item, format: str, setting: str) -> list[str]:
    """The item's files that a format reads; a file named by itself, or for a user's own format, is taken as it is."""
    if item.is_file or format not in _FORMATS.values():
        return item.files
    files = [file for file in item.files if _FORMATS.get(_extension(file)) == format]
    if not files:
        raise UserError(f"{setting}: {item.url} holds no {format} file, but for example {item.files[0]}")
    return files


def _glob(fs: Any, path: str) -> list[str]:
    found = fs.glob(path, detail=True)
    return [name for name, info in found.items() if info["type"] == "file"]


def _fixed_part(pattern: str) -> str:
    """The directory above the first wildcard."""
    parts = pattern.split("/")
    wild = next(index for index, part in enumerate(parts) if any(sign in part for sign in "*?["))
    return "/".join(parts[:wild])


def _hidden(path: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def _extension(file: str) -> str:
    return posixpath.splitext(file)[1].lower()


def _url(fs: Any, path: str) -> str:
    """What opens `path` again: the plain path on this machine, else a full URL."""
    return path if isinstance(fs, LocalFileSystem) else str(fs.unstrip_protocol(path))
