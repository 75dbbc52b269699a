"""Paths, URLs and the keys made from them."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from pipeline.storage import UrlError, read_file, shown
from schemas.errors import SampleError
from schemas.urls import AZURE

MAX_KEY = 180
"""Longest key; what a stage appends and a file's extension then still fit into a file name."""

_USER = re.compile(rf"^(?!{AZURE})(\w+://)[^/@\s]+@")
_QUERY = re.compile(r"^(https?://[^?#]*)[?#].*$", re.DOTALL)
"""It signs a URL that is given out for a while, and is another the next time."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def sanitise(name: str) -> str:
    """A key from any text: `/` becomes `--`, every other character outside [A-Za-z0-9_-] becomes `_`.

    What is longer than a key may be keeps its start and ends in a hash of the whole.
    """
    key = _UNSAFE.sub("_", name.replace("/", "--")) or "_"
    if len(key) <= MAX_KEY:
        return key
    return f"{key[: MAX_KEY - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def user_key(value: object) -> str:
    """The key that a user's own name (text or integer) gives."""
    return sanitise(str(value))


def row_keys(file: str, root: str, rows: Iterable[int]) -> Iterator[str]:
    """Keys made from the file's name relative to `root`, without its extension, and the row numbers."""
    stem = posixpath.splitext(relative(file, root))[0]
    safe = _UNSAFE.sub("_", stem.replace("/", "--"))
    if len(safe) < MAX_KEY - 20:  # as most are, which need not be looked at with every number
        return (f"{safe}-{row:08d}" for row in rows)
    return (sanitise(f"{stem}-{row:08d}") for row in rows)


def relative(url: str, root: str) -> str:
    """`url` as seen from the directory `root` (itself: "."), or all of `url` where it lies elsewhere.

    Without user, password and query: keys and manifests are made of it.
    """
    if url == root:
        return "."
    url, root = (_QUERY.sub(r"\1", _USER.sub(r"\1", part)) for part in (url, root))
    inside = root.rstrip("/") + "/"
    return url[len(inside) :] if url.startswith(inside) else url


def common_root(folders: Sequence[str]) -> str:
    """The deepest directory that holds all of `folders`."""
    parts = [folder.rstrip("/").split("/") for folder in folders]
    shared = 0
    while all(len(part) > shared for part in parts) and len({part[shared] for part in parts}) == 1:
        shared += 1
    return "/".join(parts[0][:shared])


def beside(file: str, path: str) -> str:
    """The URL of `path`, which is relative to the directory of `file` unless it is absolute or a URL."""
    if "://" in path or path.startswith("/"):
        return path
    return posixpath.join(posixpath.dirname(file), path)


def read_bytes(url: str) -> bytes | SampleError:
    """The bytes of one sample's file, or what is wrong with the sample: there is no such file or no such URL.

    Raises:
        BpkdError: the file cannot be read now, which says nothing about the sample: no connection, no permission, a
            server's error.
        UserError: the package for this kind of URL is not installed.
    """
    if "::" in url:  # the data would choose file systems that unpack, cache or run things
        return SampleError(f"chained URL {shown(url)}")
    try:
        return read_file(url)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return SampleError(f"no such file: {shown(url)}")
    except UrlError as error:
        return SampleError(str(error))
