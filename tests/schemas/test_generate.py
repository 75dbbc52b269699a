"""The JSON Schemas on disk are those of the models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas import generate
from schemas.registry import OBJECTIVES


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    return tmp_path


def test_the_files_in_the_repository_are_current() -> None:
    assert generate.stale() == [], "run `make schemas`"


def test_a_check_names_what_is_stale_and_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 1
    assert "config.schema.json is out of date" in capsys.readouterr().out
    assert list(folder.iterdir()) == []


def test_writing_makes_a_check_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["config.schema.json", "manifest.schema.json"]


def test_the_config_schema_offers_registered_names_and_refuses_unknown_keys(folder: Path) -> None:
    generate.main([])
    schema = json.loads((folder / "config.schema.json").read_text())
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["run", "data", "teacher", "student"]
    objective = schema["$defs"]["MineConfig"]["properties"]["objective"]
    assert objective["anyOf"][0]["enum"] == list(OBJECTIVES.names)
