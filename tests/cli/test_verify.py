"""`bpkd verify`: what it prints of a verdict, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import pipeline.verify as module
from pipeline.verify import Problem, Verdict
from pipeline.verify.verdict import Relabelled
from schemas.errors import UserError

FINE = Verdict("u", ["dataset"], 12, 14_000_000, 5000, [])
PROBLEMS = [Problem("a.tar", "s1", "is wrong"), Problem("b.tar", None, "is missing")]


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """`result`: what verification gives, or raises; `called`: how it was called."""
    fake: dict[str, Any] = {"result": FINE}

    def verify(url: str, **options: Any) -> Any:
        fake["called"] = {"url": url, **options}
        if isinstance(fake["result"], BaseException):
            raise fake["result"]
        return fake["result"]

    monkeypatch.setattr(module, "verify", verify)
    return fake


@pytest.mark.parametrize(
    ("verdict", "code", "lines"),
    [
        (FINE, 0, ["ok: 12 files, 5,000 samples, 14.0 MB"]),
        (Verdict("u", ["student"], 1, 5, 0, []), 0, ["ok: 1 file, 5 bytes"]),
        (Verdict("u", ["dataset"], 2, 5, 3, PROBLEMS), 1, ["a.tar: s1: is wrong", "b.tar: is missing", "2 problems"]),
        (Verdict("u", ["dataset"], 2, 5, 3, PROBLEMS[1:]), 1, ["b.tar: is missing", "1 problem"]),
        (
            Verdict("u", ["dataset"], 2, 5, 3, PROBLEMS, 1500),
            1,
            ["a.tar: s1: is wrong", "b.tar: is missing", "and 1,500 more", "1,502 problems"],
        ),
        (
            Verdict("u", ["dataset"], 2, 5, 3, [], 0, Relabelled(256, 0.001, 0.0021)),
            0,
            [
                "teacher: 256 samples labelled again, logits differ by 0.001 where 0.0021 is allowed",
                "ok: 2 files, 3 samples, 5 bytes",
            ],
        ),
        (
            Verdict("u", ["teacher-logits"], 2, 5, 3, [], missing=["dataset", "student"], not_begun=4),
            0,
            [
                "not made yet: dataset, student and 4 more; `bpkd run CONFIG` makes them",
                "ok: 2 files, 3 samples, 5 bytes in teacher-logits",
            ],
        ),
    ],
)
def test_lines_and_exit_code(
    bpkd: Any, verdicts: dict[str, Any], verdict: Verdict, code: int, lines: list[str]
) -> None:
    verdicts["result"] = verdict
    said = bpkd("verify", "u", "--quiet")
    assert (said.code, said.out.splitlines(), said.err) == (code, lines, "")


def test_json(bpkd: Any, verdicts: dict[str, Any]) -> None:
    verdicts["result"] = Verdict("u", ["dataset"], 2, 5, 3, PROBLEMS)
    said = bpkd("verify", "u", "--json")
    result = json.loads(said.out)
    assert said.code == 1 and not result["ok"]
    assert result["problems"][0] == {"file": "a.tar", "key": "s1", "what": "is wrong"}
    assert (result["url"], result["artifacts"], result["files"], result["samples"]) == ("u", ["dataset"], 2, 3)


def test_options_reach_the_work(bpkd: Any, verdicts: dict[str, Any], config_file: Path) -> None:
    assert bpkd("verify", "s3://b/set", "--teacher", config_file, "--samples", "9", "--decode").code == 0
    called = verdicts["called"]
    assert (called["url"], called["samples"], called["decode"]) == ("s3://b/set", 9, True)
    assert called["teacher"].teacher.factory == "zoo:mlp" and called["progress"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["verify"], "Missing argument 'URL'"),
        (["verify", "u", "--samples", "0"], "--samples"),
        (["verify", "u", "--samples", "9"], "--samples goes with --teacher CONFIG"),
        (["verify", "u", "--teacher", "nowhere.toml"], "nowhere.toml: no such config file"),
    ],
)
def test_wrong_use_exits_2(bpkd: Any, arguments: list[str], line: str) -> None:
    said = bpkd(*arguments)
    assert said.code == 2 and line in said.err and said.err.count("\n") == 1


def test_what_is_no_artifact_exits_2(bpkd: Any, verdicts: dict[str, Any]) -> None:
    verdicts["result"] = UserError("u: no directory with files")
    said = bpkd("verify", "u")
    assert (said.code, said.out, said.err) == (2, "", "error: u: no directory with files\n")
