"""From a URL to the file system that it lies on, and work on it that is tried again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipeline.storage.faults import UrlError, tried
from schemas.errors import UserError
from schemas.urls import shown

T = TypeVar("T")

OBJECT_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci", "tos", "hf", "memory"},
)
"""Where a put shows the whole object at once or nothing, and where a rename would copy it. All else has a rename."""

_UNKNOWN = re.compile(r"Protocol not known: (\S*)")
_TAKES = "takes a path, s3://, gs://, az://, hf://, https:// or what else fsspec knows"

_S3_USER = re.compile(r"\bs3a?://(?!arn:)[^/]*[:@]")
"""The client would take it for a part of the bucket's name, and repeat it in its messages."""

_S3: dict[str, Any] = {
    # The retries are `tried`'s alone: botocore's own would multiply with them.
    "config_kwargs": {"connect_timeout": 5, "read_timeout": 15, "retries": {"total_max_attempts": 1}},
    # What another process has written is seen at once.
    "use_listings_cache": False,
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": _S3,
    "s3a": _S3,
    **{protocol: {"use_listings_cache": False} for protocol in ("gs", "gcs", "abfs", "abfss", "az")},
    **{protocol: {"timeout": 15} for protocol in ("sftp", "ssh")},
}


class Place:
    """A URL on its file system.

    Attributes:
        url: as it was given.
        fs: the fsspec file system.
        path: within it.
        protocols: its names.

    Raises:
        UrlError: there is no such kind of URL, or it is empty.
        UserError: its package is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        if not url.strip():  # which would be the working directory to some, and the root of all to others
            raise UrlError("a path is empty; name a directory, a file or a URL")
        if _S3_USER.search(url):
            raise UrlError(f"{shown(url)}: s3:// takes no credentials; give them as the store's own tools read them")
        try:
            self.fs, self.path = fsspec.core.url_to_fs(url, **_options(url))
        except ImportError as error:
            raise UserError(f"{shown(url)}: {error}{_remedy(url, error)}") from None
        except ValueError as error:
            if (found := _UNKNOWN.match(str(error))) is not None:
                raise UrlError(f"{shown(url)}: unknown kind of URL {found[1] + '://'!r} ({_TAKES})") from None
            raise UrlError(f"{shown(url)}: {shown(str(error))}") from None
        names = self.fs.protocol
        self.protocols = {names} if isinstance(names, str) else set(names)
        if self.protocols & {"s3", "s3a"}:
            self.fs.retries = 1  # this instance is bpkd's own, as nobody else asks for these options

    @property
    def local(self) -> bool:
        """Whether it is on this machine's file systems."""
        return isinstance(self.fs, LocalFileSystem)

    @property
    def object_store(self) -> bool:
        return bool(self.protocols & OBJECT_STORES)

    def do(self, doing: str, action: Callable[[], T], name: str = "") -> T:
        """Do something here, again where a fault may pass, see `tried`; `name` is the file that it is about."""
        return tried(f"{self.url}/{name}" if name else self.url, doing, action, remote=not self.local)

    def info(self, path: str) -> dict[str, Any] | None:
        """What the file system knows of `path` now, None where nothing is there."""
        if not self.local and not self.object_store:
            self.fs.invalidate_cache()
        try:
            found: dict[str, Any] = self.do("looked at", lambda: self.fs.info(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found

    def find(self, path: str) -> list[str]:
        """Every file below. fsspec would leave out directories that it cannot list; here they are an error."""
        found: list[str] = self.do("listed", lambda: self.fs.find(path, **self._complete))
        return found

    def glob(self, pattern: str) -> dict[str, dict[str, Any]]:
        """What matches, with what the file system knows of it."""
        found: dict[str, dict[str, Any]] = self.do(
            "listed", lambda: self.fs.glob(pattern, detail=True, **self._complete)
        )
        return found

    @property
    def _complete(self) -> dict[str, str]:
        return {} if self.object_store else {"on_error": "raise"}


def _options(url: str) -> dict[str, dict[str, Any]]:
    """Options by protocol, as fsspec takes them for every link of a chain; what the user configured wins."""
    options = {}
    for protocol in (link.partition("://")[0] for link in url.split("::")):
        own, given = _OPTIONS.get(protocol, {}), fsspec.config.conf.get(protocol, {})
        merged = {
            name: {**value, **given[name]} if isinstance(value, dict) and isinstance(given.get(name), dict) else value
            for name, value in own.items()
            if name not in given or isinstance(given[name], dict)
        }
        if merged:
            options[protocol] = merged
    return options


def _remedy(url: str, error: ImportError) -> str:
    """How to get the package that a kind of URL needs, where that is known."""
    extras = {"s3": "s3", "s3a": "s3", "hf": "text"}
    if extra := extras.get(url.partition("://")[0]):
        return f"; `pip install 'bpkd[{extra}]'`"
    missing = error.__cause__.name if isinstance(error.__cause__, ImportError) else None
    # Some modules have other names than the packages that they are in.
    return f"; `pip install {missing}`" if missing and missing in str(error) else ""
