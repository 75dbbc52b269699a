"""The speed benchmarks work, and docs/performance.md says what they have measured."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
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
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [
        *("climb_speed", "device_climb", "end_to_end", "growth", "logit_codecs", "plan_error"),
        *("reading", "streaming", "training_speed"),
    ],
)
def test_a_benchmark_works(tmp_path: Path, name: str) -> None:
    pytest.importorskip("webdataset")
    module: Any = importlib.import_module(name)
    output = tmp_path / "found.json"
    arguments = ["--quick", "--output", str(output), *(["--device", "cpu"] if name == "device_climb" else [])]
    done = CliRunner().invoke(module.main, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads(output.read_text())["machine"]["cores"]
    assert "┃" in done.output


def test_operations_of_a_climb_are_those_of_its_layers() -> None:
    """Of a linear teacher and student, 3 x 4 x 2 a pass and sample: forward, and back to the input."""
    module: Any = importlib.import_module("device_climb")
    pair = [torch.nn.Linear(3, 4).requires_grad_(False) for _ in range(2)]
    config: Any = SimpleNamespace(run=SimpleNamespace(precision="fp32"), mine=SimpleNamespace(steps=5))
    assert module.operations(config, pair, torch.zeros(6, 3)) == (5 * 2 + 1) * 2 * 6 * 24
