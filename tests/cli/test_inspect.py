"""`bpkd inspect`: what is printed, and what is not done to the terminal that it is printed on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli.show_sample import print_sample
from pipeline.datasets.sample import Choice, Sample


@pytest.fixture
def dataset(tmp_path: Path, write_dataset: Any) -> str:
    write_dataset(f"{tmp_path}/set")
    return f"{tmp_path}/set"


def test_a_data_set_in_words(bpkd: Any, dataset: str) -> None:
    said = bpkd("inspect", dataset)
    assert said.code == 0
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    for line in [
        f"data set {dataset}",
        "samples 10: 6 source, 4 auxiliary",
        "labelled 5",
        "task classification, 3 classes",
        "sample image 1x4x5",
        "format parquet, 2 shards of split 'train'",
        "made by bpkd 9.9",
        "1 4 before 2.5 1.75 2.5 3.25",
        "after 5 3.5 5 6.5",
        "cat 2 2 0",
        "eel 1 2 4",
        "teacher.factory zoo:cnn",
        "mine.steps 7",
    ]:
        assert line in lines


def test_a_data_set_as_json(bpkd: Any, dataset: str) -> None:
    found = json.loads(bpkd("inspect", dataset, "--json").out)
    assert (found["samples"], found["source"], found["auxiliary"], found["shape"]) == (10, 6, 4, [1, 4, 5])
    assert found["rounds"][0]["gap"]["gap_after"]["q75"] == 6.5
    assert found["by_class"][2] == {"index": 2, "name": "eel", "labelled": 1, "source": 2, "auxiliary": 4}


def test_a_sample_of_a_regression_has_no_classes(capsys: pytest.CaptureFixture[str]) -> None:
    climb = {"parent_key": None, "round": None, "gap_before": None, "gap_after": None, "steps": None}
    outputs = [Choice(str(number), number + 0.5, None) for number in range(7)]
    print_sample(Sample("s0", "a.tar", "source", **climb, label=[1.5], class_name=None, outputs=outputs, files={}), [])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["output", "teacher"] in lines and ["4", "4.5"] in lines and ["5", "5.5"] not in lines
    assert not any("probability" in line for line in lines)


def test_fast_reads_no_samples_and_says_what_it_leaves_out(bpkd: Any, dataset: str) -> None:
    for path in Path(dataset).glob("train-*"):
        path.unlink()
    said = bpkd("inspect", dataset, "--fast")
    assert said.code == 0 and "leave out --fast" in said.out and "eel" not in said.out
    assert json.loads(bpkd("inspect", dataset, "--fast", "--json").out)["by_class"] is None


def test_a_sample_in_words(bpkd: Any, dataset: str) -> None:
    said = bpkd("inspect", dataset, "--sample", "s1+r01")
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    for line in ["key s1+r01", "parent s1", "round 1", "gap before 2", "gap after 4", "steps 7", "label unknown"]:
        assert line in lines
    assert "eel 4 96.47%" in lines
    assert "label 1 (dog)" in [" ".join(x.split()) for x in bpkd("inspect", dataset, "--sample", "s1").out.splitlines()]


def test_a_terminal_with_colours_shows_the_image_beside_its_parent(
    bpkd: Any, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = bpkd("inspect", dataset, "--sample", "s1+r01").out
    assert "▀" not in piped and piped.endswith("--save DIR writes the image\n")
    for name, value in {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    said = bpkd("inspect", dataset, "--sample", "s1+r01").out
    assert said.count("▀") == 2 * 2 * 5  # two images of 4x5 pixels, two rows in a line
    assert "--save" not in said
    assert "▀" not in bpkd("inspect", dataset, "--sample", "s1+r01", "--json").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "▀" not in bpkd("inspect", dataset, "--sample", "s1+r01").out


def test_a_sample_as_json(bpkd: Any, dataset: str, tmp_path: Path) -> None:
    found = json.loads(bpkd("inspect", dataset, "--sample", "s1+r01", "--save", f"{tmp_path}/saved", "--json").out)
    assert (found["key"], found["parent_key"], found["gap_after"]) == ("s1+r01", "s1", 4)
    assert [output["name"] for output in found["outputs"]] == ["eel", "cat", "dog"]
    assert found["saved"] == [f"{tmp_path}/saved/s1+r01.png", f"{tmp_path}/saved/s1.png"]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in found["saved"])


def test_nothing_is_written_unless_asked(bpkd: Any, dataset: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    bpkd("inspect", dataset, "--sample", "s1+r01")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("terminal", [False, True])
def test_no_figure_is_cut_however_narrow_it_is(
    bpkd: Any, dataset: str, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
    out = bpkd("inspect", dataset).out
    assert "…" not in out
    rows = [line.split() for line in out.splitlines()]
    assert ["1", "4", "before", "2.5", "1.75", "2.5", "3.25"] in rows
    assert (["round", "auxiliary", "gap", "mean", "25", "%", "50", "%", "75", "%"] in rows) is not terminal


def test_text_of_others_cannot_act_on_the_terminal(bpkd: Any, tmp_path: Path, write_dataset: Any) -> None:
    names = ["\x1b[2Jcat", "[bold]dog[/bold][/x]", "eel\u202e"]
    spec = {"kind": "image", "codec": "fp16", "width": 3, "shape": [1, 4, 5], "task": "classification"}
    evil = {"te\x1bacher": "\x1b]0;title\x07", "list": ["[red]"]}
    write_dataset(str(tmp_path), "webdataset", rows={**spec, "class_names": names}, provenance=evil)
    said = bpkd("inspect", tmp_path)
    assert said.code == 0 and "[bold]dog[/bold][/x]" in said.out and "[red]" in said.out
    assert not re.search("[\x1b\x07\u202e]", said.out + said.err)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 2, "nowhere does not exist"),
        (["{set}/manifest.json"], 2, "manifest.json is a file; name its directory, {set}"),
        (["{set}", "--sample", "nobody"], 2, "has no sample 'nobody'"),
        (["{set}", "--sample", "s1 "], 2, "has no sample 's1 '; its keys are such as 's0'"),
        (["{set}", "--save", "x"], 2, "--save goes with --sample"),
        (["{set}", "--fast", "--sample", "s1"], 2, "--fast counts no classes"),
        (["{set}", "--sample", "nobody", "--save", "{set}/manifest.json"], 2, "a file is in the way"),  # at once
    ],
)
def test_wrong_input_is_one_line(bpkd: Any, dataset: str, arguments: list[str], code: int, message: str) -> None:
    said = bpkd("--quiet", "inspect", *(argument.format(set=dataset) for argument in arguments))
    assert said.code == code and message.format(set=dataset) in said.err and said.err.count("\n") == 1


def test_damage_is_one_line(bpkd: Any, dataset: str) -> None:
    Path(dataset, "train-00001-of-00002.parquet").write_bytes(b"PAR1")
    said = bpkd("--quiet", "inspect", dataset)
    assert said.code in (1, 2) and said.err.count("\n") == 1 and "train-00001-of-00002.parquet" in said.err
