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
    assert performance.pages() == {page: page.read_text() for page in (performance.PAGE, performance.PLAN)}


def test_what_is_missed_is_said() -> None:
    aims: Any = importlib.import_module("aims")
    found = {"a": 0.9, "b": 1.0, "c": 1.5}
    assert str(aims.Aim("x", aims.AT_LEAST, 1.0, found)) == (
        "- x: at least 1.00 x aimed at; met by b (1.00 x) and c (1.50 x); **missed** by a (0.90 x)."
    )
    assert str(aims.Aim("y", aims.AT_MOST, 0.25, {"a": -0.3, "b": 0.2}, "{:+.0%}")) == (
        "- y: at most 25% aimed at; met by b (+20%); **missed** by a (-30%)."
    )


def test_every_stage_counts_for_the_plan(tmp_path: Path) -> None:
    """Two stages that are off in opposite ways have a total that is right."""
    plan_error: Any = importlib.import_module("plan_error")
    planned, measured = ({"seconds": seconds, "bytes": 1.0, "memory": 1.0} for seconds in (1.0, 2.0))
    crew = {"planned": {"a": planned, "b": measured}, "measured": {"a": measured, "b": planned}}
    found = plan_error.beyond({"crews": {"1 worker": crew}})
    assert found == ["a with 1 worker: seconds off by -50%", "b with 1 worker: seconds off by +100%"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [
        *("climb_speed", "decoding", "device_climb", "end_to_end", "growth", "logit_codecs", "plan_error"),
        *("reading", "start_up", "streaming", "training_speed"),
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
