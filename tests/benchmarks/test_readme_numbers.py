"""The README's numbers are those of the stored results, which the benchmarks wrote."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("which", ["continued", "fresh"])
@pytest.mark.parametrize("name", ["few_sample", "few_sample_text"])
def test_the_tables_are_the_benchmarks(name: str, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    comparison, tools = import_module(name).COMPARISON, sys.modules["compared"]
    report = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    results = [tools.Result(**result) for result in report["results"]]
    assert len({result.seed for result in results}) >= 3
    students = ["continued"] if which == "continued" else list(comparison.fresh)
    assert tools.table(results, students, comparison.figures) in (ROOT / "README.md").read_text()
