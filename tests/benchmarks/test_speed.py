"""The speed benchmarks work, and docs/performance.md says what they have measured."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def test_the_page_says_what_was_measured() -> None:
    performance: Any = importlib.import_module("performance")
    text = performance.PAGE.read_text()
    assert performance.place(text, performance.tables(), "performance") == text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["climb_speed", "end_to_end", "logit_codecs", "reading"])
def test_a_benchmark_works(tmp_path: Path, name: str) -> None:
    pytest.importorskip("webdataset")
    module: Any = importlib.import_module(name)
    output = tmp_path / "found.json"
    done = CliRunner().invoke(module.main, ["--quick", "--output", str(output)], catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads(output.read_text())["machine"]["cores"]
    assert any(word in done.output for word in ("bpkd", "topk", "cache"))
