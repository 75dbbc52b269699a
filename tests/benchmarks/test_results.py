"""docs/results.md and its pictures are made from benchmarks/results/*.json."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("benchmarks")


@pytest.fixture
def results() -> Any:
    return import_module("results")


def test_the_page_says_what_was_measured(results: Any) -> None:
    texts, pictures = results.parts()
    for page, found in ((results.PAGE, texts), (results.README, results.headline())):
        text = page.read_text()
        assert results.place(text, found, "results") == text
    stored = {path.name: path.read_bytes() for path in results.PICTURES.glob("*.svg")}
    assert stored == pictures


def test_an_entry_is_shown_once_it_is_measured(results: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    texts, pictures = results.parts()
    assert (
        not pictures and texts["study_climb"] == "*Not measured yet:* `python benchmarks/studies/climb.py --data DIR`"
    )
    rows = [
        {"point": f"rounds = {rounds}", "method": "bpkd", "seed": seed, "accuracy": 0.8, "passes": 9, "seconds": 3.0}
        for rounds, seed in ((1, 0), (3, 0), (3, 1))
    ]
    machine = {"processor": "a processor", "cores": 2, "torch": "2.0"}
    report = {"command": "python x.py", "machine": machine, "seconds": 90, "results": rows}
    (tmp_path / "study_climb.json").write_text(json.dumps(report))
    texts, pictures = results.parts()
    assert list(pictures) == ["study_climb.svg"] and pictures["study_climb.svg"].startswith(b"<?xml")
    assert "(assets/results/study_climb.svg)" in texts["study_climb"]
    assert "| accuracy, %; rounds | 1 | 3 |\n|---|---|---|\n| bpkd | 80.0 | 80.0 ± 0.0 |" in texts["study_climb"]
    assert texts["study_climb"].endswith(
        "`python x.py`: 2 or 1 seeds, 2 minutes on the clock; a processor, 2 cores, torch 2.0."
    )
