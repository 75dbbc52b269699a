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

    It stays the same object, unless its text comes from something else than its arguments.
    """
    try:
        yield
    except Exception as error:
        _mask(error)
        if shown(str(error)) != str(error):
            raise _stand_in(error) from None
        raise


def _mask(error: BaseException) -> None:
    """Mask an error and all that led to it."""
    error.args = tuple(shown(part) if isinstance(part, str) else part for part in error.args)
    if isinstance(error, OSError) and isinstance(error.filename, str):
        error.filename = shown(error.filename)
    before = error.__cause__ or error.__context__
    if before is None:
        return
    _mask(before)
    if shown(str(before)) != str(before):
        error.__cause__ = _stand_in(before)


def _stand_in(error: BaseException) -> RuntimeError:
    """For an error whose text does not come from its arguments, such as the traceback of another process."""
    return RuntimeError(f"{type(error).__name__}: {shown(str(error))}")
