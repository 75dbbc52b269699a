"""`bpkd run --direct`: all stages in order, and one report of them. (Through Prefect: tests/flows.)"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import UserError


@pytest.fixture(autouse=True)
def _no_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing the flow fails."""
    monkeypatch.setitem(sys.modules, "flows.distill", None)


def test_all_stages_run_in_order(bpkd: Any, stages: Any, config_file: Path) -> None:
    said = bpkd("run", config_file, "--direct")
    assert said.code == 0
    assert [name for name, _, _ in stages.calls] == ["cache", "mine", "export", "train", "evaluate"]


def test_without_held_out_data_nothing_is_evaluated(bpkd: Any, stages: Any, config_file: Path) -> None:
    config_file.write_text(config_file.read_text().replace('data.eval = "e"\n', ""))
    said = bpkd("run", config_file, "--direct", "--json")
    assert [name for name, _, _ in stages.calls] == ["cache", "mine", "export", "train"]
    assert json.loads(said.out)["evaluation"] is None


def test_the_result_in_words(bpkd: Any, stages: Any, config_file: Path) -> None:
    run = config_file.parent.resolve() / "out"
    lines = bpkd("run", config_file, "--direct").out.splitlines()
    assert lines[0] == f"teacher-logits: 1,200 samples in {run}/teacher-logits"
    assert f"dataset: 2,100 samples in {run}/dataset (30 bytes a sample)" in lines
    assert lines[-2:] == ["accuracy  0.875", "gap       1.25"]


def test_json_is_one_object(bpkd: Any, stages: Any, config_file: Path) -> None:
    result = json.loads(bpkd("run", config_file, "--direct", "--json").out)
    kinds = [item["artifact"] for item in result["artifacts"]]
    assert kinds == ["teacher-logits", "auxiliary", "auxiliary", "dataset", "student"]
    assert result["url"] == str(config_file.parent.resolve() / "out")
    assert result["evaluation"] == {"accuracy": 0.875, "gap": 1.25}


@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_nobody_sees_what_lets_one_in(bpkd: Any, stages: Any, config_file: Path, json_: list[str]) -> None:
    said = bpkd("run", config_file, "--direct", "--set", "run.output=memory://user:s3cret@h/x", *json_)
    assert said.code == 0 and "memory://***@h/x" in said.out and "s3cret" not in said.out + said.err


def test_a_failed_stage_ends_the_run(bpkd: Any, stages: Any, config_file: Path) -> None:
    stages.results["export"] = UserError("nothing to export")
    said = bpkd("run", config_file, "--direct")
    assert (said.code, said.out) == (2, "")
    assert said.err.strip() == "error: nothing to export"
    assert [name for name, _, _ in stages.calls] == ["cache", "mine", "export"]
