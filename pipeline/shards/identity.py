"""What artifacts remember of each other, and what to say where that differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.storage import sha256
from schemas.errors import UserError
from schemas.manifest import Manifest


def identity(manifest: Manifest) -> dict[str, Any]:
    """What a later artifact remembers of one that it was made from: its fingerprint, and one hash over its files."""
    files = json.dumps([[file.path, file.sha256] for file in manifest.files])
    return {**manifest.fingerprint, "files": sha256(files.encode())}


def require_same(url: str, found: Mapping[str, Any], wanted: Mapping[str, Any], remedy: str) -> None:
    """Compare two fingerprints.

    Raises:
        UserError: they differ; names the first difference with both values, the others by path, and `remedy`.
    """
    differing = sorted(_differences(found, json.loads(json.dumps(wanted))))
    if differing:
        path, was, now = differing[0]
        more = f" (other too: {', '.join(path for path, *_ in differing[1:])})" if len(differing) > 1 else ""
        raise UserError(f"{url} was made with {path} = {was}, now it is {now}{more}; {remedy}")


def _differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, old value, new value) of every leaf that differs, values shortened for a message."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif old != new:
        yield path, _short(old), _short(new)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
