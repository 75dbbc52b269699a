"""The starter config: valid as written, with every default uncommented, and with every example used."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from schemas.config import Config, load_config, parse_config
from schemas.registry import KINDS as KNOWN_KINDS
from schemas.starter import KINDS, starter

EXAMPLE = re.compile(r"^# (\w+) is not set; for example: (.*)$")
DEFAULT = re.compile(r"^# (\w+ = .*)$", re.MULTILINE)


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def examples(kind: str) -> list[tuple[str, str]]:
    """(section, assignment) of every example."""
    found, section = [], ""
    for line in starter(kind).splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif match := EXAMPLE.match(line):
            found.append((section, match[2]))
    return found


def test_there_is_a_starter_for_every_kind() -> None:
    assert set(KINDS) == set(KNOWN_KINDS.names)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_config_of_its_kind(tmp_path: Path, kind: str) -> None:
    assert load(tmp_path, starter(kind)).data.kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_uncommenting_every_default_changes_nothing(tmp_path: Path, kind: str) -> None:
    text = starter(kind)
    uncommented, count = DEFAULT.subn(r"\1", text)
    assert count > 30
    assert load(tmp_path, uncommented).model_dump() == load(tmp_path, text).model_dump()


def keys(kind: str) -> set[str]:
    """Dotted path of every key that a starter shows."""
    found, section = set(), ""
    for line in starter(kind).splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif match := re.match(r"(?:# )?(\w+) (?:= |is not set)", line):
            found.add(f"{section}.{match[1]}")
    return found


def all_keys(section: BaseModel, path: str = "") -> Iterator[str]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        yield from all_keys(value, f"{path}{name}.") if isinstance(value, BaseModel) else (f"{path}{name}",)


def test_every_key_is_shown() -> None:
    shown = {key for kind in KINDS for key in keys(kind)}
    assert shown == set(all_keys(parse_config(tomllib.loads(starter()))))


@pytest.mark.parametrize(
    ("key", "kinds"),
    [
        ("data.columns.image", {"image"}),
        ("data.size", {"image"}),
        ("data.columns.features", {"array"}),
        ("student.mean", {"image", "array"}),
        ("mine.bounds", {"image", "array"}),
        ("data.columns.text_pair", {"text"}),
        ("student.layers", {"text"}),
        ("mine.delta", {"text"}),
        ("train.freeze_embeddings", {"text"}),
        ("data.metrics", {"image", "array", "text"}),
    ],
)
def test_a_key_is_shown_to_those_whom_it_concerns(key: str, kinds: set[str]) -> None:
    assert {kind for kind in KINDS if key in keys(kind)} == kinds


def test_text_says_what_it_needs() -> None:
    assert ["pip install 'bpkd[text]'" in starter(kind) for kind in KINDS] == [kind == "text" for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_is_accepted(kind: str) -> None:
    values = tomllib.loads(starter(kind))
    assert len(examples(kind)) > 10
    for section, assignment in examples(kind):
        node = values
        for part in section.split("."):
            node = node.setdefault(part, {})
        node |= tomllib.loads(assignment)
    parse_config(values)


def test_examples_are_shown() -> None:
    assert ("data", 'eval = "data/test"') in examples("image")


@pytest.mark.parametrize(
    "names",
    [
        "l2, kl, js, student",
        "fp16, fp32, topk, sampled",
        "f1, matthews, pearson, spearman",
        "parquet, webdataset, folder, csv, jsonl, numpy",
    ],
)
def test_names_of_a_registry_are_listed(names: str) -> None:
    assert f"({names})" in starter("image")
