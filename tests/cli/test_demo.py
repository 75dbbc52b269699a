"""`bpkd demo`: what reaches the demo, and how its result is shown."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pipeline import demo
from pipeline.demo import Demo, Outcome
from pipeline.work.teaching import Taught

FOUND = Demo(
    Taught({"accuracy": 0.987}, 50_000),
    [
        Outcome("plain KD", 1_234, 0.9, 0.91, 100, None, "/demo/plain-kd"),
        Outcome("bpkd", 1_234, 0.95, 0.96, 1_000, 7.25, "/demo/bpkd"),
    ],
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, dict[str, Any]]]:
    """How the demo was called; it finds what `FOUND` says."""
    called: list[tuple[Path, dict[str, Any]]] = []

    def run_demo(folder: Path, progress: object, **options: Any) -> Demo:
        called.append((folder, options))
        return FOUND

    monkeypatch.setattr(demo, "run_demo", run_demo)
    return called


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"seed": 0, "restart": False}),
        (["--seed", "3"], {"seed": 3, "restart": False}),
        (["--restart"], {"seed": 0, "restart": True}),
    ],
)
def test_options_reach_the_demo(
    bpkd: Any, calls: Any, tmp_path: Path, options: list[str], expected: dict[str, Any]
) -> None:
    assert bpkd("demo", "--output", tmp_path, *options).code == 0
    assert calls == [(tmp_path, expected)]


def test_the_table_shows_every_method_and_the_end_says_where_things_are(bpkd: Any, calls: Any) -> None:
    out = bpkd("demo").out
    rows = {line.split("│")[1].strip(): line for line in out.splitlines() if line.startswith("│")}
    assert list(rows) == ["plain KD", "bpkd"]
    for row, cells in (
        ("plain KD", ["90.0%", "91.0%", "100", "resumed"]),
        ("bpkd", ["95.0%", "96.0%", "1,000", "7.2"]),
    ):
        assert [cell.strip() for cell in rows[row].split("│")[2:-1]] == cells
    assert "/demo/bpkd/dataset" in out and "/demo/bpkd/student/model.safetensors" in out


def test_json_is_one_object(bpkd: Any, calls: Any) -> None:
    result = json.loads(bpkd("demo", "--json").out)
    assert result["teacher_accuracy"] == 0.987
    assert [method["method"] for method in result["methods"]] == ["plain KD", "bpkd"]
    assert [method["seconds"] for method in result["methods"]] == [None, 7.25]


def test_json_has_null_for_what_is_no_number(bpkd: Any, calls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FOUND.teacher.figures, "accuracy", math.nan)
    found = json.loads(bpkd("demo", "--json").out, parse_constant=pytest.fail)
    assert found["teacher_accuracy"] is None


@pytest.mark.parametrize(
    ("options", "remedy"), [([], "again to resume"), (["--restart"], "again but without --restart")]
)
def test_interrupted_it_says_how_to_resume(
    bpkd: Any, monkeypatch: pytest.MonkeyPatch, options: list[str], remedy: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_demo", interrupted)
    said = bpkd("demo", *options)
    assert said.code == 130
    assert remedy in said.err


def test_a_folder_of_somebody_else_is_refused(bpkd: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    said = bpkd("demo", "--output", tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {tmp_path} is not empty")
