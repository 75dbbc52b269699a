"""Progress: bars on a terminal, one whole line per finished task elsewhere."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

import cli.progress
from cli.progress import Shown, make_progress
from pipeline.progress import Silent


def shown(*, terminal: bool) -> tuple[Shown, io.StringIO]:
    file = io.StringIO()
    return Shown(Console(file=file, force_terminal=terminal, width=80, highlight=False)), file


def test_quiet_is_silent() -> None:
    assert isinstance(make_progress(quiet=True), Silent)


def test_a_finished_task_is_one_line() -> None:
    progress, file = shown(terminal=False)
    with progress.task("cache", 1500) as task:
        for _ in range(3):
            task.advance(500)
    assert re.fullmatch(r"cache: 1,500 samples in \d+\.\d s \([\d,.e+]+/s\)\n", file.getvalue())


def test_the_line_ends_with_the_latest_figures() -> None:
    progress, file = shown(terminal=False)
    with progress.task("mine", 2, unit="steps") as task:
        task.advance(gap=9.0)
        task.advance(gap=3.14159, loss=0.5)
    assert file.getvalue().startswith("mine: 2 steps in ")
    assert file.getvalue().endswith("gap=3.142 loss=0.5\n")


def test_nobody_sees_what_lets_one_in() -> None:
    progress, file = shown(terminal=False)
    progress.say("3 shards taken over from s3://me:s3cret@bucket/v001")
    assert file.getvalue() == "3 shards taken over from s3://***@bucket/v001\n"


def test_bytes_are_shown_as_people_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.progress, "REDRAW", 0)
    progress, file = shown(terminal=True)
    with progress.task("copy", 4_000_000, unit="bytes") as task:
        task.advance(1_500_000)
    assert "1.5 MB of 4.0 MB" in file.getvalue()
    assert re.search(r"copy: 1\.5 MB in \d+\.\d s \([\d.,]+ [kMGT]?B/s\)\n", file.getvalue())


def test_nothing_is_drawn_away_from_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.progress, "REDRAW", 0)
    progress, file = shown(terminal=False)
    with progress.task("cache", 10) as task:
        task.advance(5, gap=1.0)
        assert file.getvalue() == ""


def test_a_task_that_fails_says_how_far_it_came() -> None:
    progress, file = shown(terminal=False)

    def mine() -> None:
        with progress.task("mine", 2000) as task:
            task.advance(1200)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mine()
    assert file.getvalue() == "mine: stopped after 1,200 of 2,000 samples\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_said_stays_as_it_is(terminal: bool) -> None:
    progress, file = shown(terminal=terminal)
    message = "[bold]model[/bold] [/x] " + "long " * 40
    progress.say(message)
    assert file.getvalue() == message + "\n"


def test_a_terminal_sees_bar_count_and_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.progress, "REDRAW", 0)
    progress, file = shown(terminal=True)
    with progress.task("round [1] mine", 10) as task:
        task.advance(4, gap=2.5)
        progress.say("half way")
    text = file.getvalue()
    for part in ["round [1] mine", "4 of 10 samples", "gap=2.5", "half way", "4 samples in"]:
        assert part in text


@pytest.mark.parametrize("terminal", [False, True])
def test_tasks_nest_and_follow_each_other(terminal: bool) -> None:
    progress, file = shown(terminal=terminal)
    with progress.task("outer", 1) as outer:
        for name in ("first", "second"):
            with progress.task(name, 1) as inner:
                inner.advance()
        outer.advance()
    with progress.task("after", 0):
        pass
    assert re.findall(r"(first|second|outer|after): [01] samples", file.getvalue()) == [
        "first",
        "second",
        "outer",
        "after",
    ]
