"""From what the config names (file, directory, glob, URL, a list of them) to files and their format."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.sources.paths import common_root, relative
from pipeline.storage import shown
from pipeline.storage.place import Place
from schemas.errors import UserError

IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
TEXT_EXTENSION = ".txt"

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
_TAKES = "Parquet, tar, CSV, JSONL, .npy, .npz, image files or folders of .txt files"
_IF_ALONE = {TEXT_EXTENSION: "folder"}
"""Formats of files that may also lie about beside others: notes, licences."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a config names.

    Attributes:
        format: name in SOURCES.
        files: sorted URLs; for folders of images or texts the directories, globs or files as they were named.
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
        BpkdError: it cannot be looked at or listed now.
    """
    try:
        place = Place(url)
        path, info = place.path, place.info(place.path)
    except UserError as error:
        raise UserError(f"{setting}: {error}") from error
    is_glob = info is None and any(sign in path for sign in "*?[")
    if is_glob:
        base, found = _fixed_part(path), _matches(place)
    elif info is None:
        raise UserError(f"{setting}: {shown(url)}: no such file or directory")
    elif info["type"] == "directory" or _is_index(place):
        base, found = path, place.find(path)
    else:
        return Item(_url(place, path), _url(place, posixpath.dirname(path)), [_url(place, path)], is_file=True)
    files = sorted(_url(place, file) for file in found if not _hidden(relative(file, base)))
    if not files:
        what = "matches no file (a directory is named without *)" if is_glob else "is an empty directory"
        raise UserError(f"{setting}: {shown(url)} {what}")
    return Item(_url(place, path), _url(place, base), files, is_file=False)


def _infer(items: Sequence[Item], setting: str) -> str:
    """The one format of all items."""
    examples: dict[str, str] = {}
    alone: dict[str, str] = {}
    for item in items:
        for file in item.files:
            format = _FORMATS.get(_extension(file))
            if _extension(file) in _IF_ALONE and not item.is_file:
                alone.setdefault(_IF_ALONE[_extension(file)], file)
            if format is None and item.is_file:
                raise UserError(f"{setting}: {file} is none of {_TAKES}; data.format can name a format")
            if format is not None:
                examples.setdefault(format, file)
    examples = examples or alone
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


def _is_index(place: Place) -> bool:
    """Whether it is a web server's listing of a directory, which is a page and looks like a file."""
    return "http" in place.protocols and bool(place.do("listed", lambda: place.fs.isdir(place.path)))


def _matches(place: Place) -> list[str]:
    try:
        return [name for name, info in place.glob(place.path).items() if info["type"] == "file"]
    except (FileNotFoundError, NotADirectoryError):  # of the directory above the first wildcard
        return []


def _fixed_part(pattern: str) -> str:
    """The directory above the first wildcard."""
    parts = pattern.split("/")
    wild = next(index for index, part in enumerate(parts) if any(sign in part for sign in "*?["))
    return "/".join(parts[:wild])


def _hidden(path: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def _extension(file: str) -> str:
    return posixpath.splitext(file)[1].lower()


def _url(place: Place, path: str) -> str:
    """What opens `path` again: the plain path on this machine, else a full URL."""
    return path if place.local else str(place.fs.unstrip_protocol(path))
