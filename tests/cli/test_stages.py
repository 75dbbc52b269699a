"""The stage commands: what reaches the stage, and what is printed of its result."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pipeline.progress import Silent
from schemas.errors import UserError

STAGES = ["cache", "mine", "export", "train", "evaluate"]


@pytest.mark.parametrize("name", STAGES)
def test_config_and_options_reach_the_stage(bpkd: Any, stages: Any, config_file: Path, name: str) -> None:
    assert bpkd(name, config_file, "--set", "run.seed=3", "--set", "run.rounds=2", "--restart").code == 0
    ((called, config, inputs),) = stages.calls
    assert called == name
    assert (config.run.seed, config.run.rounds) == (3, 2)
    assert config.output == str(config_file.parent.resolve() / "out")
    assert inputs.pop("progress")
    assert inputs == {"restart": True}


def test_a_command_that_an_error_names_is_one_to_copy(bpkd: Any, stages: Any, config_file: Path) -> None:
    stages.results["mine"] = UserError("made otherwise; `bpkd mine CONFIG --restart` makes it anew")
    said = bpkd("mine", config_file, "--set", "run.seed=3", "--set", 'run.name="a b"')
    retyped = f"{config_file} --set run.seed=3 --set 'run.name=\"a b\"'"
    assert (said.code, said.err) == (2, f"error: made otherwise; `bpkd mine {retyped} --restart` makes it anew\n")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("cache", "output"),
        ("export", "output"),
        ("mine", "teacher_logits"),
        ("export", "teacher_logits"),
        ("train", "output"),
        ("train", "dataset"),
        ("evaluate", "output"),
        ("evaluate", "student"),
    ],
)
def test_inputs_and_outputs_elsewhere(bpkd: Any, stages: Any, config_file: Path, name: str, option: str) -> None:
    said = bpkd(name, config_file, f"--{option.replace('_', '-')}", "s3://bucket/x")
    assert said.code == 0
    assert stages.calls[0][2][option] == "s3://bucket/x"
    if option == "output" and name != "evaluate":
        assert "s3://bucket/x" in said.out


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "cache",
            [
                "teacher-logits: 1,200 samples in {run}/teacher-logits",
                "  2 samples failed, see {run}/teacher-logits/failures.jsonl",
                "  to try again: bpkd cache CONFIG --retry-failed",
            ],
        ),
        (
            "mine",
            [
                "auxiliary: 500 samples in {run}/round-01/auxiliary",
                "auxiliary: 400 samples in {run}/round-02/auxiliary",
                "  1 sample failed, see {run}/round-02/auxiliary/failures.jsonl",
                "  to try again: bpkd mine CONFIG --retry-failed",
            ],
        ),
        ("export", ["dataset: 2,100 samples in {run}/dataset (30 bytes a sample)"]),
        ("train", ["student: {run}/student"]),
        ("evaluate", ["accuracy  0.875", "gap       1.25"]),
    ],
)
def test_the_result_in_words(bpkd: Any, stages: Any, config_file: Path, name: str, lines: list[str]) -> None:
    run = config_file.parent.resolve() / "out"
    assert bpkd(name, config_file).out.splitlines() == [line.format(run=run) for line in lines]


@pytest.mark.parametrize(
    ("name", "url", "samples", "failures"),
    [
        ("cache", "/teacher-logits", 1200, 2),
        ("mine", "", 900, 3),
        ("export", "/dataset", 2100, 0),
        ("train", "/student", 0, 0),
    ],
)
def test_json_is_one_object(
    bpkd: Any, stages: Any, config_file: Path, name: str, url: str, samples: int, failures: int
) -> None:
    stages.results["mine"][0] = stages.results["mine"][0].model_copy(update={"failures": 2})
    result = json.loads(bpkd(name, config_file, "--json").out)
    assert set(result) == {"artifact", "url", "samples", "failures", "details"}
    assert result["url"] == f"{config_file.parent.resolve()}/out{url}"
    assert (result["samples"], result["failures"]) == (samples, failures)


def test_json_of_mine_has_every_round(bpkd: Any, stages: Any, config_file: Path) -> None:
    rounds = json.loads(bpkd("mine", config_file, "--json").out)["details"]["rounds"]
    assert [item["samples"] for item in rounds] == [500, 400]
    assert rounds[1]["url"].endswith("/round-02/auxiliary")


def test_json_has_null_for_what_is_no_number(bpkd: Any, stages: Any, config_file: Path) -> None:
    stages.results["evaluate"] = {"accuracy": 0.1, "gap": math.nan, "nll": math.inf}
    found = json.loads(bpkd("evaluate", config_file, "--json").out, parse_constant=pytest.fail)
    assert found == {"accuracy": 0.1, "gap": None, "nll": None}


@pytest.mark.parametrize("name", ["cache", "mine", "export", "train"])
@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_nobody_sees_what_lets_one_in(bpkd: Any, stages: Any, config_file: Path, name: str, json_: list[str]) -> None:
    said = bpkd(name, config_file, "--set", "run.output=memory://user:s3cret@h/x?token=t0ken", *json_)
    assert said.code == 0 and "memory://***@h/x" in said.out
    assert "s3cret" not in said.out + said.err and "t0ken" not in said.out + said.err


def test_json_of_evaluate_is_the_figures(bpkd: Any, stages: Any, config_file: Path) -> None:
    assert json.loads(bpkd("evaluate", config_file, "--json").out) == {"accuracy": 0.875, "gap": 1.25}


@pytest.mark.parametrize("arguments", [["--quiet", "cache"], ["cache", "--quiet"]])
def test_quiet_stands_before_or_after_the_command(
    bpkd: Any, stages: Any, config_file: Path, arguments: list[str]
) -> None:
    bpkd(*arguments, config_file)
    assert isinstance(stages.calls[0][2]["progress"], Silent)


def test_without_quiet_there_is_progress(bpkd: Any, stages: Any, config_file: Path) -> None:
    bpkd("cache", config_file)
    assert not isinstance(stages.calls[0][2]["progress"], Silent)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("cache", "cache.codec takes fp16, fp32"),
        ("mine", "mine.objective takes l2, kl, js"),
        ("export", "export.format takes webdataset, parquet"),
        ("train", "train.loss takes kl, mse, dkd, js"),
    ],
)
def test_help_lists_the_registered_names(bpkd: Any, name: str, names: str) -> None:
    assert names in bpkd(name, "--help").out
