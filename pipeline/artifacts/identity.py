"""What artifacts remember of each other, and what to say where that differs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.storage import sha256
from schemas.errors import UserError
from schemas.manifest import Manifest

_KEYS = {name: f"run.{name}" for name in ("seed", "rounds", "precision")}
_KEYS |= {name: f"cache.{name}" for name in ("codec", "batch_size")}
_KEYS["metrics"] = "data.metrics"
_NAMES = {
    "dataset": "the data set's files",
    "gallery": "the data set of which it shows samples",
    "earlier": "the samples of earlier rounds",
    "opponent": "the opponent's weights",
    "training": "the student's files",
    "teacher.sha256": "the teacher's weights",
    "student.sha256": "the weights that the student starts from",
    "teacher.code": "the code of the teacher's factory",
    "student.code": "the code of the student's factory",
}


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
        others = ", ".join(dict.fromkeys(named for named, *_ in differing[1:] if named != path))
        more = f" (other too: {others})" if others else ""
        raise UserError(f"{url} was made with {path} = {was}, now it is {now}{more}; {remedy}")


def named_differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What a user calls the parts in which two fingerprints differ, each once."""
    return list(dict.fromkeys(name for name, *_ in sorted(_differences(found, wanted))))


def _differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, old value, new value) of every leaf that differs, values shortened for a message."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif old != new:
        yield _named(path), _short(old), _short(new)


def _named(path: str) -> str:
    """What a user calls a part of a fingerprint: a key of the config where there is one."""
    path = path.removeprefix("cache.") if path != "cache.files" else "the teacher logits' files"
    section, _, key = path.partition(".")
    if section in ("source", "eval"):
        file, _, figure = key.removeprefix("files.").rpartition(".")
        if not key.startswith("files."):
            return f"data.{key or section}"
        return f"{figure} of the images" if file == "." else f"{figure} of the file {file}"
    if section == "codec_options":
        return f"cache.{path}"
    return _NAMES.get(path) or _KEYS.get(path, path)


def _short(value: Any) -> str:
    if value is None:
        return "not set"
    text = json.dumps(value)
    if re.fullmatch(r'"[0-9a-f]{64}"', text):  # enough of a hash to tell it from another
        return text[1:13]
    return text if len(text) <= 60 else text[:57] + "..."


def without(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A fingerprint less some of its keys, as it is read back from a manifest."""
    return dict(json.loads(json.dumps({name: value for name, value in values.items() if name not in names})))
