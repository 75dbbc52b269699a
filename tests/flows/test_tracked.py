"""Shards as Prefect tasks: in groups, told one by one, tried again only where that may help."""

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
        self.out = self.most = 0

    def _start(self) -> int:
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

    monkeypatch.setattr(tracked, "BACK_OFF", 0.0)

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


def task_runs(flow_run: UUID, wanted: int) -> dict[str, tuple[str, int]]:
    """Name -> (state, attempts) of the tasks of a flow run, once the server knows how so many ended."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        for _ in range(200):
            runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))
            if len(runs) >= wanted and all(run.state is not None and run.state.is_final() for run in runs):
                return {run.name: (str(run.state_name), run.run_count) for run in runs}
            time.sleep(0.05)
    raise AssertionError(f"{wanted} tasks did not end: {[(run.name, run.state_name) for run in runs]}")


def test_a_task_is_a_group_of_shards_and_no_more_are_handed_out_than_asked_for(track: Any) -> None:
    made, pool, flow_run = track(lambda index: time.sleep(0.002), list(range(3, 43)), groups=4)
    assert sorted(made) == list(range(3, 43))
    assert set(pool.calls.values()) == {1}
    assert pool.most <= pool.ahead
    named = {f"small · round 2 mine · shards {first}-{first + 9}": ("Completed", 1) for first in (3, 13, 23, 33)}
    assert task_runs(flow_run, 4) == named


def test_a_shard_is_told_as_soon_as_it_is_made(track: Any) -> None:
    told = threading.Event()

    def make(index: int) -> None:
        if index == 1:
            assert told.wait(30)

    made, _, flow_run = track(make, [0, 1], groups=1, hear=lambda index: told.set())
    assert made == [0, 1]
    assert task_runs(flow_run, 1) == {"small · round 2 mine · shards 0-1": ("Completed", 1)}


def test_what_may_pass_is_tried_again_without_what_is_done(track: Any) -> None:
    failed = set[int]()

    def make(index: int) -> None:
        if index in (1, 4) and index not in failed:
            failed.add(index)
            raise TransientError("the store does not answer")

    made, pool, flow_run = track(make, list(range(6)), groups=2)
    assert sorted(made) == list(range(6))
    assert pool.calls == {0: 1, 1: 2, 2: 1, 3: 1, 4: 2, 5: 1}
    assert set(task_runs(flow_run, 2).values()) == {("Completed", 2)}


@pytest.mark.parametrize(
    ("error", "attempts"), [(TransientError("gone"), 3), (UserError("wrong"), 1), (RuntimeError("odd"), 1)]
)
def test_an_error_comes_out_as_it_was_raised(track: Any, error: Exception, attempts: int) -> None:
    def make(index: int) -> None:
        if index == 1:
            raise error

    raised, pool, flow_run = track(make, [0, 1, 2], groups=3)
    assert raised is error
    assert pool.calls[1] == attempts
    assert task_runs(flow_run, 3)["small · round 2 mine · shard 1"] == ("Failed", attempts)


def test_one_that_stops_early_leaves_nothing_behind(track: Any) -> None:
    release = threading.Event()

    def make(index: int) -> None:
        if index:
            release.wait(30)

    made, pool, flow_run = track(make, list(range(50)), take=1)
    try:
        assert made == [0]
        assert set(pool.calls) <= {0, 1, 2, 3, 4}
        states = task_runs(flow_run, 1)
        assert states.pop("small · round 2 mine · shard 0") == ("Completed", 1)
        assert set(states.values()) <= {("Cancelled", 1)}
        assert [thread.name for thread in threading.enumerate() if thread.name == "bpkd-group"] == []
    finally:
        release.set()
