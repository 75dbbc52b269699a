"""Single files at any fsspec URL."""

from __future__ import annotations

import hashlib
from typing import IO, Any, cast

from pipeline.storage.place import Place
from pipeline.storage.reader import Reader
from schemas.errors import UserError
from schemas.urls import shown


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def open_file(url: str) -> IO[bytes]:
    """A file for reading. An OSError or other failure of the store, now or in a later read, is a BpkdError.

    Raises:
        FileNotFoundError, IsADirectoryError, NotADirectoryError: there is no such file.
        UserError: there is no such kind of URL, or no such bucket.
        BpkdError: it cannot be read now.
    """
    place = Place(url)
    return cast(IO[bytes], Reader(place, place.path))


def read_file(url: str) -> bytes:
    """All of a file; raises what `open_file` does."""
    place = Place(url)
    data: bytes = place.do("read", lambda: place.fs.cat_file(place.path))
    return data


def file_fingerprint(url: str) -> dict[str, Any]:
    """What identifies the content of one file: size and sha256 locally, size and the store's own tag remotely.

    Raises:
        UserError: there is no such file.
        BpkdError: it cannot be read.
    """
    place = Place(url)
    info = place.info(place.path)
    if info is None or info["type"] == "directory":
        raise UserError(f"{shown(url)}: no such file")
    if place.local or "memory" in place.protocols:
        with open_file(url) as file:
            return {"bytes": info["size"], "sha256": hashlib.file_digest(file, "sha256").hexdigest()}  # type: ignore[arg-type]
    # On the Hugging Face hub the id of the content: `ukey` covers all that this version of the client knows of a file.
    tag = info.get("ETag") or info.get("blob_id") or place.do("looked at", lambda: place.fs.ukey(place.path))
    return {"bytes": info["size"], "tag": str(tag)}
