"""`bpkd plan` as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main
from tests.pipeline.stages.conftest import teacher_weights, write_images

CONFIG = """
[run]
output = "run"
rounds = 1
[data]
train = "train.parquet"
shard_size = 16
classes = 3
[teacher]
factory = "zoo:cnn"
kwargs = { classes = 3, width = 8, depth = 1 }
weights = "teacher.safetensors"
[student]
factory = "zoo:cnn"
kwargs = { classes = 3, width = 4, depth = 1 }
[train]
steps = 4
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    write_images(tmp_path / "train.parquet", 40, seed=0)
    (tmp_path / "teacher.safetensors").write_bytes(teacher_weights())
    (tmp_path / "config.toml").write_text(CONFIG)
    return str(tmp_path / "config.toml")


def test_a_table_for_people(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", config, "--workers", "4,1", "--seconds", "0"]) == 0
    shown = capsys.readouterr()
    for word in ("cache", "mine", "export", "train", "all", "40 of 40 samples"):
        assert word in shown.out
    heads = shown.out.splitlines()[1].split()
    assert heads == ["stage", "samples", "1", "worker", "4", "writes", "memory"]
    assert "evaluate" not in shown.out  # there is no data.eval
    assert "plan: all stages on 40 samples" in shown.err


def test_one_object_for_programs(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", config, "--workers", "1,2", "--seconds", "0", "--json", "--quiet"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert shown.err == ""
    assert [stage["stage"] for stage in found["stages"]] == ["cache", "mine", "export", "train"]
    assert found["total"]["seconds"].keys() == {"1", "2"}
    assert found["total"]["seconds"]["1"] == pytest.approx(sum(s["seconds"]["1"] for s in found["stages"]))


@pytest.mark.parametrize("given", ["0", "many", "1,,2", "", "-3"])
def test_wrong_numbers_of_workers(config: str, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", config, "--workers", given]) == 2
    assert "takes numbers from 1 on, such as 1,2,8" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["nosuch://x", "train.parquet/run"])
def test_what_cannot_be_written_to_is_told_before_anything_is_measured(
    config: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", config, "--set", f"run.output={output}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
