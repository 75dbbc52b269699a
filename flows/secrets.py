"""What must not reach Prefect's server, where whoever can open its pages reads it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from schemas.urls import shown

_FREE = {"kwargs", "runner_options"}
"""Tables that hold whatever the user's own code takes."""
_SECRET = re.compile(r"token(?!iz)|secret|password|passwd|credential|key", re.IGNORECASE)
_NO_SECRET = "data.columns.key"


def shown_override(override: str) -> str:
    """SECTION.KEY=VALUE as it may be shown: `***` for a value that may hold a secret, and for the secrets of a URL."""
    key, _, text = override.partition("=")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text
    return f"{key}=***" if any(map(_may_be_secret, _paths(key.strip(), value))) else shown(override)


def _paths(path: str, value: Any) -> Iterator[str]:
    """Paths of all keys that an override sets."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(f"{path}.{key}", inner)


def _may_be_secret(path: str) -> bool:
    parts = path.split(".")
    return path != _NO_SECRET and any(part in _FREE or _SECRET.search(part) for part in parts)


@contextmanager
def masked() -> Iterator[None]:
    """Hide secrets in the text of an error, which Prefect sends to its server with all that led to it.

    It stays the same object.
    """
    try:
        yield
    except Exception as error:
        seen: BaseException | None = error
        while seen is not None:
            seen.args = tuple(shown(part) if isinstance(part, str) else part for part in seen.args)
            if isinstance(seen, OSError) and isinstance(seen.filename, str):
                seen.filename = shown(seen.filename)
            seen = seen.__cause__ or seen.__context__
        raise
