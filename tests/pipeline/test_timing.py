"""Seconds are those of the first time through, and there are none where the work was broken off."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import timing
from pipeline.timing import timed


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is a second later than the one before, and a half."""
    ticks = itertools.count(step=1.5)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))


@pytest.fixture(params=["local", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{tmp_path}/run" if request.param == "local" else f"memory:///{tmp_path.name}/run"


def work(url: str, *, broken: bool = False) -> Callable[[], str]:
    def run() -> str:
        timing.Folder(url).write("file", b"")
        if broken:
            raise KeyboardInterrupt
        return "done"

    return run


def test_finished_work_tells_the_same_seconds_again(url: str) -> None:
    assert timed(url, work(url)) == ("done", 1.5)
    assert timed(url, lambda: timing.time.perf_counter()) == (pytest.approx(4.5), 1.5)


def test_resumed_work_has_none(url: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        timed(url, work(url, broken=True))
    assert timed(url, work(url)) == ("done", None)
    assert timed(url, work(url)) == ("done", None)


def test_work_begun_anew_forgets_the_seconds_of_before(url: str) -> None:
    timed(url, work(url))
    timing.Folder(url).remove()
    with pytest.raises(KeyboardInterrupt):
        timed(url, work(url, broken=True))
    assert timed(url, work(url)) == ("done", None)
