"""Shards as Prefect tasks: in groups, told one by one, none of them tried again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, cast
from uuid import UUID

import pytest

from pipeline.runners import Job, Runner
from schemas.errors import TransientError, UserError
from schemas.manifest import ShardReport

pytestmark = pytest.mark.xdist_group("prefect")

Make = Callable[[int], None]


class Pool(Runner):
    """Threads that call `make` for each unit, and a note of what was handed out at most."""

    def __init__(self, make: Make, workers: int) -> None:
        super().__init__()
        self._make, self._count = make, workers
        self._lock = threading.Lock()
        self.calls: Counter[int] = Counter()
        self.out = self.most = self.starts = 0

    def _start(self) -> int:
        self.starts += 1
        self._pool = ThreadPoolExecutor(self._count)
        return self._count

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        with self._lock:
            self.calls[index] += 1
            self.out += 1
            self.most = max(self.most, self.out)
        return self._pool.submit(self._report, index)

    def _report(self, index: int) -> ShardReport:
        try:
            self._make(index)
        finally:
            with self._lock:
                self.out -= 1
        return ShardReport(files=[], details={"index": index})

    def _stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


@pytest.fixture(scope="module")
def _server() -> None:
    from flows import server

    server.configure()
    with server.started():
        import flows.tracked  # noqa: F401


@pytest.fixture
def track(_server: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Pool, UUID]]:
    """`track(make, todo, ...)`: a flow that runs a job; gives (units in the order in which they came, or the error;
    the runner; id of the flow run)."""
    from prefect import flow
    from prefect.runtime import flow_run

    from flows import server, tracked

    def run(
        make: Make,
        todo: list[int],
        *,
        workers: int = 2,
        groups: int = 100,
        take: int | None = None,
        hear: Make = lambda index: None,
    ) -> Any:
        monkeypatch.setattr(tracked, "GROUPS", groups)
        runs: list[str] = []

        @flow(name="stage", persist_result=False)
        def stage() -> Any:
            runs.append(str(flow_run.id))
            reports = tracked.Tracked(pool, "small").run(cast(Job, JOB), todo)
            try:
                return [(index, hear(index))[0] for index, _ in islice(reports, take)]
            except Exception as error:
                return error
            finally:
                reports.close()  # type: ignore[attr-defined]

        with Pool(make, workers) as pool, server.without_heartbeats():
            return stage(), pool, UUID(runs[0])

    return run


class JOB:
    name = "round 2 mine"


def task_runs(flow_run: UUID, wanted: int) -> dict[str, tuple[str, str]]:
    """Name -> (state, its message) of the tasks of a flow run, once the server knows how so many ended."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        for _ in range(200):
            runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))
            if len(runs) >= wanted and all(run.state is not None and run.state.is_final() for run in runs):
                assert {run.run_count for run in runs} <= {0, 1}
                return {run.name: (str(run.state_name), str(run.state and run.state.message)) for run in runs}
            time.sleep(0.05)
    raise AssertionError(f"{wanted} tasks did not end: {[(run.name, run.state_name) for run in runs]}")


def logged(flow_run: UUID, wanted: str) -> list[str]:
    """What the server has in its log of a flow run and its tasks, once there is something of what is wanted."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    with get_client(sync_client=True) as client:
        for _ in range(200):
            found = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run])))
            if any(wanted in log.message for log in found):
                return [log.message for log in found]
            time.sleep(0.05)
    raise AssertionError(f"not in the log: {wanted}")


def test_a_task_is_a_group_of_shards_and_no_more_are_handed_out_than_asked_for(track: Any) -> None:
    made, pool, flow_run = track(lambda index: time.sleep(0.002), list(range(3, 43)), groups=4)
    assert sorted(made) == list(range(3, 43))
    assert set(pool.calls.values()) == {1}
    assert pool.most <= pool.ahead
    names = {f"small · round 2 mine · shards {first}-{first + 9}" for first in (3, 13, 23, 33)}
    ended = task_runs(flow_run, 4)
    assert set(ended) == names
    assert {state for state, _ in ended.values()} == {"Completed"}


def test_a_shard_is_told_as_soon_as_it_is_made(track: Any) -> None:
    told = threading.Event()

    def make(index: int) -> None:
        if index == 1:
            assert told.wait(30)

    made, _, flow_run = track(make, [0, 1], groups=1, hear=lambda index: told.set())
    assert made == [0, 1]
    assert task_runs(flow_run, 1)["small · round 2 mine · shards 0-1"][0] == "Completed"


@pytest.mark.parametrize("error", [TransientError("gone"), UserError("wrong"), RuntimeError("odd")])
def test_an_error_comes_out_as_it_was_raised(track: Any, error: Exception) -> None:
    first = threading.Event()

    def make(index: int) -> None:
        if index == 1:
            assert first.wait(30)
            raise error

    raised, pool, flow_run = track(make, [0, 1, 2], groups=3, hear=lambda index: first.set())
    assert raised is error
    assert pool.calls[1] == 1
    assert task_runs(flow_run, 2)["small · round 2 mine · shard 1"][0] == "Failed"


def test_prefect_gets_no_secret_of_an_error(track: Any) -> None:
    secret = "hunter" + "2"  # tracebacks quote lines of code

    def make(index: int) -> None:
        try:
            raise FileNotFoundError(2, "not there", f"https://me:{secret}@host/y")
        except FileNotFoundError as error:
            raise UserError(f"s3://me:{secret}@bucket/x is gone") from error

    raised, _, flow_run = track(make, [0])
    assert str(raised) == "s3://***@bucket/x is gone"
    (_, message) = task_runs(flow_run, 1)["small · round 2 mine · shard 0"]
    assert "s3://***@bucket/x is gone" in message
    lines = logged(flow_run, "https://***@host/y")
    assert not [line for line in lines if secret in line]


def test_one_that_stops_early_leaves_nothing_behind(track: Any) -> None:
    release = threading.Event()

    def make(index: int) -> None:
        if index > 1:
            release.wait(30)

    made, pool, flow_run = track(make, list(range(50)), take=2, workers=1)
    try:
        assert sorted(made) == [0, 1]
        assert set(pool.calls) <= {0, 1, 2, 3}
        states = {name: state for name, (state, _) in task_runs(flow_run, 3).items()}
        for index in made:
            assert states.pop(f"small · round 2 mine · shard {index}") == "Completed"
        assert set(states.values()) == {"Cancelled"}
        assert [thread.name for thread in threading.enumerate() if thread.name == "bpkd-group"] == []
    finally:
        release.set()


@pytest.mark.usefixtures("_server")
def test_closed_it_lets_the_workers_go_until_they_are_needed_again() -> None:
    from flows.tracked import Tracked

    with Pool(lambda index: None, 1) as pool:
        assert pool.workers == 1  # of the stage before
        Tracked(pool, "small").close()
        assert pool.starts == 1
        assert pool.submit(cast(Job, JOB), 0).result().details == {"index": 0}
        assert pool.starts == 2
