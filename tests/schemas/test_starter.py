"""The starter config: valid as written, with every default uncommented, and with every example used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_every_section_is_shown(kind: str) -> None:
    text = starter(kind)
    for name, section in parse_config(tomllib.loads(text)):
        for key in type(section).model_fields:
            assert re.search(rf"^(# )?{key} (= |is not set)|^\[{name}\.{key}\]$", text, re.MULTILINE), key


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


@pytest.mark.parametrize("names", ["l2, kl, js", "fp16, fp32", "parquet, webdataset, folder, csv, jsonl, numpy"])
def test_names_of_a_registry_are_listed(names: str) -> None:
    assert f"({names})" in starter("image")
