"""The starter config that `bpkd init` writes: every key with its meaning and default, generated from the sections."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import tomlkit
from pydantic import BaseModel

from schemas.config import parse_config

WIDTH = 100

_HEADER = """\
# A bpkd run. Replace the values that are set by your own; a line `# key = value` shows a default: remove
# the `# ` to change it. Relative paths are relative to this file.
"""

_NEEDS = {"text": "# Models of transformers need the extra: pip install 'bpkd[text]'\n"}

_Values = Mapping[str, Mapping[str, Any]]

_TENSORS = {f"{model}.{key}" for model in ("teacher", "student") for key in ("mean", "std")} | {"mine.bounds"}
_TOKENS = {f"{model}.{key}" for model in ("teacher", "student") for key in ("tokenizer", "layers")}
_CONCERNS: dict[str, set[str]] = {
    "image": {"data.columns.image", "data.mode", "data.size", *_TENSORS},
    "array": {"data.columns.features", *_TENSORS},
    "text": {
        *("data.columns.text", "data.columns.text_pair", "data.max_length", "train.freeze_embeddings", *_TOKENS),
        *(f"mine.{key}" for key in ("output", "delta", "carry", "max_changes", "neighbours", "candidates")),
    },
}
"""Keys that are for some kinds only: the starter of any other kind leaves them out."""

_TEACHER = {"factory": "models.py:teacher", "weights": "teacher.safetensors"}

_GIVEN: dict[str, dict[str, dict[str, Any]]] = {
    "image": {
        "run": {"output": "runs/distill"},
        "data": {"kind": "image", "train": "data/train"},
        "teacher": _TEACHER,
        "student": {"factory": "zoo:cnn"},
    },
    "array": {
        "run": {"output": "runs/distill"},
        "data": {"kind": "array", "train": "data/train.npz"},
        "teacher": _TEACHER,
        "student": {"factory": "zoo:mlp"},
    },
    "text": {
        "run": {"output": "runs/distill"},
        "data": {"kind": "text", "train": "data/train.csv"},
        "teacher": {"factory": "hf:models/teacher"},
        "student": {"layers": [0, 3]},
    },
}

_IMAGE_MODEL = {"weights": "student.safetensors", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_ARRAY_MODEL = {"weights": "student.safetensors", "mean": [0.5], "std": [0.25]}

_TEXT_MODEL = {"weights": "student.safetensors", "tokenizer": "hf:models/tokenizer"}

_RUN = {"base": "runs/before"}

_ABOUT = {"license": "cc-by-4.0", "homepage": "https://example.com/data", "citation": "Somebody: Their data, 2020"}

_EXAMPLES: dict[str, _Values] = {
    "image": {
        "run": _RUN,
        "data": {"eval": "data/test", "format": "folder", "limit": 500, "classes": 10, "mode": "RGB", "size": [32, 32]}
        | _ABOUT,
        "data.columns": {"image": "image", "label": "label", "key": "id"},
        "teacher": _IMAGE_MODEL,
        "student": _IMAGE_MODEL,
        "mine": {"patience": 3, "bounds": [0.0, 1.0], "ball": "l2"},
        "train": {"epochs": 20},
    },
    "array": {
        "run": _RUN,
        "data": {"eval": "data/test.npz", "format": "numpy", "limit": 500, "classes": 10} | _ABOUT,
        "data.columns": {"features": "x", "label": "y", "key": "id"},
        "teacher": _ARRAY_MODEL,
        "student": _ARRAY_MODEL,
        "mine": {"patience": 3, "bounds": [-1.0, 1.0], "ball": "l2"},
        "train": {"epochs": 20},
    },
    "text": {
        "run": _RUN,
        "data": {"eval": "data/test.csv", "format": "csv", "limit": 500, "classes": ["negative", "positive"]} | _ABOUT,
        "data.columns": {"text": "sentence", "text_pair": "sentence2", "label": "label", "key": "id"},
        "teacher": {**_TEXT_MODEL, "weights": "teacher.safetensors", "layers": [0, 1, 2, 3]},
        "student": _TEXT_MODEL,
        "mine": {"patience": 3, "ball": "l2"},
        "train": {"epochs": 20},
    },
}

KINDS = tuple(_GIVEN)
"""Kinds of data that there is a starter for."""


def starter(kind: str = "image") -> str:
    """A commented config as TOML; it is valid as it is, and its paths are placeholders.

    Args:
        kind: one of `KINDS`.
    """
    given = _GIVEN[kind]
    config = parse_config(given)
    left_out = set().union(*_CONCERNS.values()) - _CONCERNS[kind]
    lines = [_HEADER + _NEEDS.get(kind, "")]
    for name in type(config).model_fields:
        lines += _section(name, getattr(config, name), given.get(name, {}), _EXAMPLES[kind], left_out)
    return "\n".join(lines)


def _section(
    path: str, section: BaseModel, given: Mapping[str, Any], examples: _Values, left_out: Collection[str]
) -> Iterator[str]:
    """The lines of one section; nested sections come last, as TOML needs them to."""
    yield f"[{path}]"
    properties = type(section).model_json_schema()["properties"]
    nested = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            nested.append((f"{path}.{name}", value))
        if isinstance(value, BaseModel) or f"{path}.{name}" in left_out:
            continue
        text = " ".join(filter(None, (field.description, _choices(properties[name], field.description or ""))))
        yield from textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
        yield _assignment(name, value, name in given, examples.get(path, {}).get(name))
        yield ""
    for nested_path, value in nested:
        yield from _section(nested_path, value, {}, examples, left_out)


def _assignment(name: str, value: Any, given: bool, example: Any) -> str:
    if given:
        return f"{name} = {_toml(value)}"
    if value is not None:
        return f"# {name} = {_toml(value)}"
    return f"# {name} is not set" + ("" if example is None else f"; for example: {name} = {_toml(example)}")


def _choices(schema: Mapping[str, Any], description: str) -> str:
    """The names that a key takes, unless the description has them already."""
    options = [form for level in (schema, schema.get("items", {})) for form in (level, *level.get("anyOf", []))]
    names = [str(name) for option in options for name in option.get("enum", [])]
    return f"({', '.join(names)})" if any(name not in description for name in names) else ""


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update(value)
        return table.as_string()
    text: str = tomlkit.item(value).as_string()
    return text
