"""The README's numbers are those of the stored results, which the benchmark wrote."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("students", [["continued"], ["fresh", "fresh, twice as wide"]])
def test_the_tables_are_the_benchmarks(students):
    module = runpy.run_path(str(ROOT / "benchmarks" / "few_sample.py"))
    report = json.loads((ROOT / "benchmarks" / "results" / "few_sample.json").read_text())
    results = [module["Result"](**result) for result in report["results"]]
    assert len({result.seed for result in results}) >= 3
    assert module["table"](results, students) in (ROOT / "README.md").read_text()
