"""The demo from end to end, with few steps, and what it does with a folder that is not empty."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from pipeline import demo
from pipeline.progress import Silent
from schemas.errors import UserError

pytest.importorskip("sklearn")


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "STEPS", 40)
    monkeypatch.setattr(demo, "EPOCHS", 8)


@pytest.fixture
def two_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "METHODS", {name: demo.METHODS[name] for name in ("label-only", "plain KD")})


class Breaking(Silent):
    """Interrupts when a line is said."""

    def __init__(self, line: str) -> None:
        self._line = line

    def say(self, message: str) -> None:
        if message == self._line:
            raise KeyboardInterrupt


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the seconds."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".seconds")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_every_method_from_end_to_end(tmp_path: Path) -> None:
    found = demo.run_demo(tmp_path, Silent())
    outcomes = {outcome.method: outcome for outcome in found.outcomes}
    assert found.teacher.accuracy > 0.9
    assert list(outcomes) == ["label-only", "plain KD", "KD + noise", "bpkd"]
    assert {outcome.weights for outcome in outcomes.values()} == {outcomes["bpkd"].weights}
    assert outcomes["bpkd"].weights < found.teacher.weights / 5
    assert outcomes["plain KD"].stored == demo.SEEN and outcomes["bpkd"].stored == outcomes["KD + noise"].stored
    assert (tmp_path / "bpkd" / "dataset" / "manifest.json").exists()
    assert (tmp_path / "bpkd" / "config.toml").exists()
    assert all(outcome.seconds for outcome in outcomes.values())


@pytest.mark.slow
@pytest.mark.usefixtures("two_methods")
@pytest.mark.parametrize("line", ["label-only", "plain KD"])
def test_broken_off_it_goes_on_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    whole = demo.run_demo(tmp_path / "whole", Silent())
    with pytest.raises(KeyboardInterrupt):
        demo.run_demo(tmp_path / "broken", Breaking(line))
    monkeypatch.delattr(demo, "train_teacher")  # the teacher is there
    resumed = demo.run_demo(tmp_path / "broken", Silent())
    assert resumed.teacher == whole.teacher
    figures = [
        [dataclasses.replace(outcome, seconds=None, url="") for outcome in found.outcomes] for found in (whole, resumed)
    ]
    assert figures[0] == figures[1]


@pytest.mark.usefixtures("two_methods")
def test_a_method_broken_off_in_its_middle_has_no_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(demo, "export", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            demo.run_demo(tmp_path, Silent())
    found = demo.run_demo(tmp_path, Silent())
    assert [outcome.seconds is None for outcome in found.outcomes] == [True, False]


@pytest.mark.slow
@pytest.mark.usefixtures("two_methods")
def test_run_again_it_changes_nothing_and_with_restart_it_begins_anew(tmp_path: Path) -> None:
    first = demo.run_demo(tmp_path, Silent())
    before = contents(tmp_path)
    assert demo.run_demo(tmp_path, Silent()) == first
    assert contents(tmp_path) == before
    (tmp_path / "label-only" / "left-over").write_text("")
    demo.run_demo(tmp_path, Silent(), restart=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("restart", [False, True])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, restart: bool) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty and no demo made it"):
        demo.run_demo(tmp_path, Silent(), restart=restart)
    assert contents(tmp_path) == {"thesis.txt": b"mine"}


@pytest.mark.parametrize("made", [{"seed": 1}, {"bpkd": "0.0.1"}, {}])
def test_a_demo_made_otherwise_is_left_alone_unless_told(tmp_path: Path, made: dict[str, object]) -> None:
    (tmp_path / demo.MARKER).write_text(json.dumps(made))
    with pytest.raises(UserError, match="--restart"):
        demo.run_demo(tmp_path, Silent())
    assert json.loads((tmp_path / demo.MARKER).read_text()) == made


@pytest.mark.usefixtures("two_methods")
def test_it_takes_one_thread_and_gives_the_others_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(demo, "_write_digits", lambda folder: seen.append(torch.get_num_threads()) or 1 / 0)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(ZeroDivisionError):
            demo.run_demo(tmp_path, Silent())
        assert (seen, torch.get_num_threads()) == ([1], 3)
    finally:
        torch.set_num_threads(before)


def test_a_file_where_the_folder_belongs_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=rf"^{tmp_path}/file cannot be written: a file is in the way"):
        demo.run_demo(tmp_path / "file", Silent())
