"""Shards as Prefect tasks, a group of them in each: thousands of tasks would make a Prefect server unstable."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from threading import Thread
from typing import Any

from prefect import State, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled

from flows.reporting import log
from flows.secrets import masked
from pipeline.runners import Job, Runner
from pipeline.runners.base import Commit, unchanged
from schemas.manifest import ShardReport
from schemas.urls import shown

GROUPS = 100
"""Tasks of one artifact, at most."""
JOIN = 2.0
"""Seconds that tasks have to tell Prefect how they ended; a stage that ends early waits a tenth."""


class Tracked(Runner):
    """A runner whose work Prefect shows. One job at a time.

    Args:
        inner: does the work.
        title: of the run, for the names of the tasks.
    """

    def __init__(self, inner: Runner, title: str) -> None:
        super().__init__()
        self.elsewhere = inner.elsewhere
        self._inner, self._title = inner, title
        self._group_of: dict[int, _Group] = {}

    @property
    def starting(self) -> str:
        return self._inner.starting

    @property
    def ahead(self) -> int:
        return self._inner.ahead

    def run(self, job: Job, todo: Sequence[int], commit: Commit = unchanged) -> Generator[tuple[int, ShardReport]]:
        size = math.ceil(len(todo) / GROUPS) or 1
        title = f"{self._title} · {job.name}"
        groups = [_Group(title, todo[start : start + size]) for start in range(0, len(todo), size)]
        self._group_of = {index: group for group in groups for index in group.units}
        patience = JOIN / 10
        try:
            for index, report in super().run(job, todo, commit):
                self._group_of[index].settle(index)
                yield index, report
            patience = JOIN
        finally:
            until = time.monotonic() + patience
            for group in groups:
                group.stop()
            for group in groups:
                group.join(until)

    def close(self) -> None:
        super().close()
        self._inner.close()

    def _start(self) -> int:
        return self._inner.workers

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        future = self._inner.submit(job, index)
        self._group_of[index].add(index, future)
        return future

    def _stop(self) -> None:
        pass


class _Group:
    """Some units that are one task. It begins when the first is handed out, and ends with the last or with an error.

    The task does no work: a thread waits in it, and as a daemon does not hold the process.
    """

    def __init__(self, title: str, units: Sequence[int]) -> None:
        first, last = units[0], units[-1]
        self.units = units
        self._name = f"{title} · shard {first}" if first == last else f"{title} · shards {first}-{last}"
        self._left = len(units)
        self._running: dict[int, Future[ShardReport]] = {}
        self._ended: Future[None] = Future()
        self._thread: Thread | None = None

    def add(self, index: int, future: Future[ShardReport]) -> None:
        self._running[index] = future
        if self._thread is None:
            arguments = [_follow, self._name, self._ended]
            self._thread = Thread(target=copy_context().run, args=arguments, name="bpkd-group", daemon=True)
            self._thread.start()

    def settle(self, index: int) -> None:
        """A unit is made and committed."""
        del self._running[index]
        self._left -= 1
        if not self._left:
            self._ended.set_result(None)

    def stop(self) -> None:
        """No more of its units are made: one of them has failed, or something else ends the stage."""
        if self._ended.done():
            return
        made = [future for future in self._running.values() if future.done() and not future.cancelled()]
        error = next((error for future in made if isinstance(error := future.exception(), Exception)), None)
        if error is not None:
            self._ended.set_exception(error)
        else:
            self._ended.cancel()

    def join(self, until: float) -> None:
        if self._thread is not None:
            self._thread.join(max(0.0, until - time.monotonic()))


def _follow(name: str, ended: Future[None]) -> None:
    """A task that ends as `ended` does. It is not tried again: the stage as a whole is."""

    @task(name="shards", task_run_name=lambda: name, retries=0, cache_policy=NO_CACHE, persist_result=False)
    def shards() -> State[Any] | None:
        try:
            with masked():
                ended.result()
        except CancelledError:
            return Cancelled(message="the stage ended before it")
        return None

    try:
        shards(return_state=True)
    except Exception as error:
        log().warning("Prefect does not show %s: %s", name, shown(str(error)))
