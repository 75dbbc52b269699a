"""Units of work: the same result in any order, on any number of workers, taken up anywhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from pipeline.artifacts.artifact import Artifact
from pipeline.artifacts.units import File, Made, Unit
from pipeline.progress import Silent
from pipeline.runners import Job
from pipeline.runners.making import make_units
from pipeline.runners.threads import ThreadsRunner
from pipeline.storage import Folder
from schemas.errors import BpkdError
from schemas.manifest import ShardReport

UNITS = [Unit(f"u{number}", number) for number in range(20)]


def work(index: int) -> Made:
    time.sleep(0.002 * (index * 7 % 5))  # so that workers overtake each other
    return Made([File(f"u{index}.bin", b"x" * index, samples=index)], details={"number": index})


def run(url: str, workers: int, call=work) -> list[int]:
    with Artifact(url, "thing", {}) as artifact, Silent().task("t", 1) as task, ThreadsRunner(workers) as runner:
        job = Job("thing", call, None, artifact.target())  # threads need no opener
        reports = make_units(artifact, UNITS, job, runner, task)
        artifact.finish([unit.name for unit in UNITS])
    return [report.details["number"] for report in reports]


def contents(url: str) -> dict[str, bytes]:
    return {name: Folder(url).read(name) for name in Folder(url).find()}


@pytest.mark.parametrize("workers", [2, 3, 50])
def test_workers_do_not_change_the_result(tmp_path, workers):
    assert run(f"{tmp_path}/one", 1) == run(f"{tmp_path}/many", workers) == list(range(20))
    assert contents(f"{tmp_path}/one") == contents(f"{tmp_path}/many")


@pytest.mark.parametrize("workers", [1, 3])
def test_a_mistake_stops_the_work_and_what_is_committed_stays(tmp_path, workers):
    made = set()

    def failing(index: int) -> Made:
        if index == 7:
            raise KeyError("wrong")
        made.add(index)
        return work(index)

    with pytest.raises(KeyError, match="wrong"):
        run(f"{tmp_path}/a", workers, failing)
    first = set(made)
    assert len(first) < 19
    made.clear()
    assert run(f"{tmp_path}/a", 1, lambda index: made.add(index) or work(index)) == list(range(20))
    assert len(made & first) <= (workers + 1 if workers > 1 else 0)  # those not committed when it stopped
    run(f"{tmp_path}/whole", 1)
    assert contents(f"{tmp_path}/a") == contents(f"{tmp_path}/whole")


def test_one_is_written_while_the_next_is_made(tmp_path, monkeypatch):
    made = [threading.Event() for _ in UNITS]
    write, threads = Folder.write, set()

    def call(index: int) -> Made:
        made[index].set()
        threads.add(threading.current_thread())
        return work(index)

    def late(self: Folder, name: str, data: bytes) -> None:
        if name.startswith("u") and name.endswith(".bin"):
            assert threading.current_thread() not in threads
            number = int(name[1:-4])
            assert number == 19 or made[number + 1].wait(10)
        write(self, name, data)

    monkeypatch.setattr(Folder, "write", late)
    assert run(f"{tmp_path}/a", 1, call) == list(range(20))


def test_files_that_are_made_while_they_are_written_are_made_one_after_the_other(tmp_path):
    running, places = [], set()

    def files(index: int) -> Iterator[File]:
        running.append(index)
        places.add(threading.current_thread())
        yield File(f"u{index}.bin", b"x")
        running.remove(index)

    def call(index: int) -> Made:
        assert not running
        return Made(files(index), details={"number": index})

    assert run(f"{tmp_path}/a", 1, call) == list(range(20))
    assert places == {threading.current_thread()}


@pytest.mark.parametrize("place", ["u5.bin", "u5.unit.json"])
def test_what_cannot_be_written_stops_the_work_and_what_came_before_stays(tmp_path, monkeypatch, place):
    write, made = Folder.write, set()

    def failing(self: Folder, name: str, data: bytes) -> None:
        if name == place:
            raise BpkdError("no room")
        write(self, name, data)

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "write", failing)
        with pytest.raises(BpkdError, match="no room"):
            run(f"{tmp_path}/a", 1, lambda index: made.add(index) or work(index))
    assert made == set(range(7))
    made.clear()
    assert run(f"{tmp_path}/a", 1, lambda index: made.add(index) or work(index)) == list(range(20))
    assert made == set(range(5, 20))


def test_what_is_written_too_late_is_not_committed(tmp_path, monkeypatch):
    """An interrupt does not wait for a slow store, and whoever comes next may begin anew."""
    began, release, ended, write = threading.Event(), threading.Event(), threading.Event(), Folder.write

    def slow(self: Folder, name: str, data: bytes) -> None:
        if name == "u0.bin":
            began.set()
            release.wait(60)
        write(self, name, data)

    def call(index: int) -> Made:
        if index:
            assert began.wait(10)
            raise KeyboardInterrupt
        return work(index)

    def commit(self: Artifact, *args) -> ShardReport:
        try:
            return original(self, *args)
        finally:
            ended.set()

    original = Artifact.commit
    monkeypatch.setattr(Folder, "write", slow)
    monkeypatch.setattr(Artifact, "commit", commit)
    with pytest.raises(KeyboardInterrupt):
        run(f"{tmp_path}/a", 1, call)
    assert not release.is_set()
    release.set()
    assert ended.wait(10)
    assert not [name for name in contents(f"{tmp_path}/a") if name.endswith(".unit.json")]


class Lazy(ThreadsRunner):
    """Threads that take long to start."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.handed_out: list[Future[ShardReport]] = []

    def _described(self) -> str:
        return "7 threads"

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        self.handed_out.append(super()._submit(job, index))
        return self.handed_out[-1]


def test_what_is_handed_out_is_cancelled_where_a_commit_fails_and_a_start_is_told(tmp_path, monkeypatch):
    release, second = threading.Event(), threading.Event()
    said: list[str] = []

    def fail(*_: object) -> None:
        assert second.wait(60)
        raise OSError("no room")

    def slow(index: int) -> Made:
        if index == 2:
            second.set()
        assert index == 1 or release.wait(60)
        return work(index)

    monkeypatch.setattr(Lazy, "ahead", 4)  # the last one waits for a thread
    with Artifact(f"{tmp_path}/a", "thing", {}) as artifact, Silent().task("t", 1) as task, Lazy(2) as runner:
        monkeypatch.setattr(artifact, "commit", fail)
        job = Job("thing", slow, None, artifact.target())
        with pytest.raises(OSError, match="no room") as kept:
            make_units(artifact, UNITS, job, runner, task, say=said.append)
        # Though what was raised, and with it the frames that it went through, is still there.
        assert kept.value.__traceback__ is not None
        assert [future.cancelled() for future in runner.handed_out] == [False, False, False, True]
        release.set()
    assert said == ["thing: starting 7 threads"]


class Failing(ThreadsRunner):
    """Threads of which the second cannot be started."""

    def _start(self) -> int:
        super()._start()
        raise OSError("no more threads")


def test_what_has_started_is_stopped_where_the_rest_does_not_start():
    runner = Failing(2)
    with pytest.raises(OSError, match="no more threads"):
        runner.workers  # noqa: B018
    assert runner._pool is None


def test_no_more_units_run_than_there_are_workers(tmp_path):
    running, most, lock, together = 0, 0, threading.Lock(), threading.Barrier(3)

    def counted(index: int) -> Made:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if index < 3:
            together.wait(60)
        made = work(index)
        with lock:
            running -= 1
        return made

    run(f"{tmp_path}/a", 3, counted)
    assert most == 3


def test_who_stops_does_not_wait_for_the_others(tmp_path):
    release = threading.Event()

    def slow(index: int) -> Made:
        if index == 1:
            raise KeyboardInterrupt
        release.wait(60)
        return work(index)

    try:
        with pytest.raises(KeyboardInterrupt):
            run(f"{tmp_path}/a", 2, slow)
        assert not release.is_set()
    finally:
        release.set()


def test_a_worker_whose_run_has_gone_writes_nothing(tmp_path):
    url = f"{tmp_path}/a"
    with Artifact(url, "thing", {}) as artifact:
        target = artifact.target()
        target.write(work(3))
    assert "u3.bin" in contents(url)
    with pytest.raises(BpkdError, match="no longer being made"):
        target.write(work(4))
    with Artifact(url, "thing", {}) as another:
        another.target()
        with pytest.raises(BpkdError, match="is being made by process"):
            target.write(work(4))
    assert "u4.bin" not in contents(url)
