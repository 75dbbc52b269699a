"""`bpkd init`: a starter config that is never written over another file unasked."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from schemas.config import load_config
from schemas.starter import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_a_config_of_the_kind(bpkd: Any, tmp_path: Path, kind: str) -> None:
    said = bpkd("init", tmp_path / "new.toml", "--kind", kind)
    assert (said.code, said.out) == (0, f"{tmp_path / 'new.toml'}\n")
    assert load_config(tmp_path / "new.toml").data.kind == kind


def test_one_object_for_programs(bpkd: Any, tmp_path: Path) -> None:
    said = bpkd("init", tmp_path / "new.toml", "--kind", "text", "--json")
    assert json.loads(said.out) == {"path": str(tmp_path / "new.toml"), "kind": "text"}


def test_the_path_may_be_left_out(bpkd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert bpkd("init").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_a_file_that_is_there_stays_unless_forced(bpkd: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("mine")
    said = bpkd("init", path)
    assert (said.code, said.out, path.read_text()) == (2, "", "mine")
    assert f"{path} is there already; --force replaces it" in said.err
    assert bpkd("init", path, "--force").code == 0
    assert "[run]" in path.read_text()


def test_a_folder_that_is_missing_is_made(bpkd: Any, tmp_path: Path) -> None:
    assert bpkd("init", tmp_path / "no" / "such" / "c.toml").code == 0
    assert load_config(tmp_path / "no" / "such" / "c.toml").data.kind == "image"


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_directory_is_told_at_once(bpkd: Any, tmp_path: Path, force: list[str]) -> None:
    said = bpkd("init", tmp_path, *force)
    assert said.code == 2 and f"{tmp_path} is a directory; name the file to write" in said.err
    (tmp_path / "file").write_text("mine")
    said = bpkd("init", tmp_path / "file" / "c.toml", *force)
    assert said.code == 2 and f"{tmp_path}/file cannot be written: a file is in the way" in said.err


def test_what_may_not_be_written(bpkd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    monkeypatch.setattr(Path, "open", refuse)
    said = bpkd("init", tmp_path / "c.toml")
    assert said.code == 1 and f"{tmp_path}/c.toml cannot be written: permission denied" in said.err
