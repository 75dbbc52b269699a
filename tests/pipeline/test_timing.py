"""Seconds are those of the first time through, and there are none where the work was broken off."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import timing
from pipeline.artifacts.artifact import Artifact
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


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{tmp_path}/run" if request.param == "local" else f"memory:///{tmp_path.name}/of"


def make(artifact: str, run: str | None, *, files: int) -> None:
    """Make so many of its two files, and finish it with the second."""
    opened = Artifact(artifact, "dataset", {}, run=run)
    with opened:
        for number in range(files if opened.manifest is None else 0):
            if not opened.done(f"u{number}"):
                opened.commit(f"u{number}", [opened.write(f"shard-{number:05d}.bin", b"x")])
        if files == 2 and opened.manifest is None:
            opened.finish(["u0", "u1"])


def times(run: str) -> dict[str, bytes]:
    folder = timing.Folder(f"{run}/times")
    return {name: folder.read(name) for name in folder.names()}


def test_the_time_of_an_artifact_is_kept_beside_it(root: str) -> None:
    make(f"{root}/round-01/auxiliary", root, files=2)
    assert times(root) == {"round-01-auxiliary.seconds": b"1.500\n"}
    make(f"{root}/round-01/auxiliary", root, files=2)  # which finds it finished
    assert times(root) == {"round-01-auxiliary.seconds": b"1.500\n"}


def test_what_was_broken_off_has_no_time(root: str) -> None:
    make(f"{root}/dataset", root, files=2)
    timing.Folder(f"{root}/dataset").remove()
    make(f"{root}/dataset", root, files=1)
    make(f"{root}/dataset", root, files=2)
    assert times(root) == {}


@pytest.mark.parametrize("run", [None, "elsewhere", "ru"])
def test_what_is_not_in_the_run_leaves_nothing(tmp_path: Path, run: str | None) -> None:
    make(f"{tmp_path}/run/dataset", None if run is None else f"{tmp_path}/{run}", files=2)
    assert not list(tmp_path.rglob("*.seconds"))
