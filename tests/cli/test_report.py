"""`bpkd report`: what it prints, and how it exits. Pages are tested in tests/pipeline/report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pipeline.report as module
from pipeline.report import Report
from pipeline.report.figures import Evaluation, Figures, Measure, Stage
from pipeline.report.statistics import share, share_difference
from schemas.errors import UserError

ACCURACY = Measure("accuracy", True, "higher", 10, share(9, 10), share(7, 10), share_difference(2, 0, 10))
STAGES = [Stage("dataset", "dataset", "export", "finished"), Stage("student", "student", "train", "missing")]


def report(**changed: Any) -> Report:
    evaluation = Evaluation("classification", 10, True, [ACCURACY], {}, [], [], None, [])
    values: dict[str, Any] = {"stages": STAGES, "evaluation": evaluation, "notes": ["x is damaged"], **changed}
    empty = {"costs": [], "curves": [], "gaps": [], "baseline": None, "pairs": []}
    figures = Figures(name="n", url="r", bpkd="1", kind="image", rounds=2, config="", **empty, **values)
    return Report("r/report.html", 900_000, "It is better." if figures.evaluation else "", figures)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """`result`: what is written; `called`: how."""
    fake: dict[str, Any] = {"result": report()}

    def write_report(run: str, **options: Any) -> Any:
        fake["called"] = (run, options)
        if isinstance(fake["result"], BaseException):
            raise fake["result"]
        return fake["result"]

    monkeypatch.setattr(module, "write_report", write_report)
    return fake


def test_in_words(bpkd: Any, written: dict[str, Any]) -> None:
    said = bpkd("report", "r", "--baseline", "other", "--output", "p.html", "--quiet")
    assert said.code == 0 and said.err == ""
    assert said.out.splitlines() == [
        "report: r/report.html (900.0 kB)",
        "  It is better.",
        "  not finished: student",
        "  not in order: x is damaged",
    ]
    assert written["called"] == ("r", {"baseline": "other", "output": "p.html"})


def test_rounds_far_ahead_are_counted(bpkd: Any, written: dict[str, Any]) -> None:
    written["result"] = replace(report(), figures=replace(report().figures, not_begun=4))
    assert "  not finished: student and 4 more" in bpkd("report", "r").out.splitlines()
    assert json.loads(bpkd("report", "r", "--json").out)["not_begun"] == 4


def test_as_json(bpkd: Any, written: dict[str, Any]) -> None:
    found = json.loads(bpkd("report", "r", "--json").out)
    assert (found["url"], found["bytes"], found["unfinished"]) == ("r/report.html", 900_000, ["student"])
    accuracy = found["figures"]["accuracy"]
    assert accuracy["samples"] == 10 and accuracy["own"]["value"] == 0.9 and accuracy["difference"]["value"] == 0.2
    written["result"] = report(evaluation=None)
    assert json.loads(bpkd("report", "r", "--json").out)["figures"] == {}


def test_wrong_input_is_one_line(bpkd: Any, written: dict[str, Any]) -> None:
    written["result"] = UserError("r is no run")
    said = bpkd("report", "r")
    assert (said.code, said.err, said.out) == (2, "error: r is no run\n", "")


def test_an_empty_directory_is_no_run(bpkd: Any, tmp_path: Path) -> None:
    said = bpkd("report", tmp_path)
    assert said.code == 2 and said.err.count("\n") == 1 and "run.output" in said.err
    assert not list(tmp_path.iterdir())
