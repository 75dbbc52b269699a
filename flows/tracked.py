"""Shards as Prefect tasks, a group of them in each: thousands of tasks would make a Prefect server unstable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Any

from prefect import State, Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import Cancelled
from prefect.tasks import exponential_backoff
from prefect.utilities.annotations import quote

from pipeline.runners import Job, Runner
from schemas.errors import TransientError
from schemas.manifest import ShardReport

GROUPS = 100
"""Tasks of one artifact, at most."""
BACK_OFF = 10.0
"""Seconds before a group is tried again for the first time; twice as many before the second."""
JOIN = 2.0
"""Seconds that tasks have to tell Prefect how they ended; a stage that ends early waits a tenth."""


class Tracked(Runner):
    """A runner whose work Prefect shows, and tries again where a store or a worker failed in a way that may pass.

    Args:
        inner: does the work. Whoever made it closes it.
        run_name: of the run, for the names of the tasks.
    """

    def __init__(self, inner: Runner, run_name: str) -> None:
        super().__init__()
        self.elsewhere = inner.elsewhere
        self._inner, self._run_name = inner, run_name

    @property
    def ahead(self) -> int:
        return self._inner.ahead

    def run(self, job: Job, todo: Sequence[int]) -> Iterator[tuple[int, ShardReport]]:
        """(number, what was made) of every unit in `todo`, as they get done; at most `ahead` are handed out at once.

        Raises:
            UserError, TransientError: of a unit, as it was raised.
        """
        if not todo:
            return
        groups = _Groups(self._inner, job, f"{self._run_name} · {job.name}", todo)
        ended = False
        try:
            yield from groups.reports()
            ended = True
        finally:
            groups.stop(JOIN if ended else JOIN / 10)

    def _start(self) -> int:
        return self._inner.workers

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        return self._inner.submit(job, index)

    def _stop(self) -> None:
        pass


class _Group:
    """Some units that are one task.

    Attributes:
        left: those that are not made yet.
        running: those that are handed out.
        errors: of this attempt.
        slot: whether a slot is taken for its first unit; one is before it begins.
        newest: whether no other group has begun after it.
    """

    def __init__(self, units: Sequence[int]) -> None:
        first, last = units[0], units[-1]
        self.title = f"shard {first}" if first == last else f"shards {first}-{last}"
        self.left = list(units)
        self.running: dict[Future[ShardReport], int] = {}
        self.errors: list[BaseException] = []
        self.slot = True
        self.newest = True


class _Groups:
    """The groups of one job. One after the other begins, each once all of the one before is handed out.

    A group is a task in a thread of its own, which hands out its units and waits for them. These threads do no work
    themselves, and as daemons they do not hold the process.
    """

    def __init__(self, inner: Runner, job: Job, title: str, todo: Sequence[int]) -> None:
        size = math.ceil(len(todo) / GROUPS)
        self._inner, self._job, self._title = inner, job, title
        self._waiting = iter([_Group(todo[start : start + size]) for start in range(0, len(todo), size)])
        self._units = len(todo)
        self._open: set[_Group] = set()
        self._free = inner.ahead
        self._stopped = False
        self._changed = Condition()
        self._results: SimpleQueue[tuple[int, ShardReport] | BaseException] = SimpleQueue()
        self._threads: list[Thread] = []
        self._context = copy_context()

    def reports(self) -> Iterator[tuple[int, ShardReport]]:
        self._begin_next()
        for _ in range(self._units):
            result = self._results.get()
            if isinstance(result, BaseException):
                raise result
            yield result
            # Only now, so that what is made and not committed yet does not pile up.
            self._give_slot()

    def stop(self, patience: float) -> None:
        """Hand out nothing more, and wait so many seconds for the tasks to end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            running = [future for group in self._open for future in group.running]
        for future in running:
            future.cancel()
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _begin_next(self) -> None:
        with self._changed:
            group = next(self._waiting, None)
            if group is None or self._stopped:
                return
            thread = Thread(target=self._context.copy().run, args=[self._track, group], name="bpkd-group", daemon=True)
            self._threads = [*(other for other in self._threads if other.is_alive()), thread]
        thread.start()

    def _track(self, group: _Group) -> None:
        """Make a group as a task."""
        self._take_slot()
        if self._stopped:
            return
        with self._changed:
            self._open.add(group)
        try:
            _as_task(f"{self._title} · {group.title}", lambda: self._make(group))
        except BaseException as error:  # also an interrupt that a unit's thread got
            self._results.put(error)
        finally:
            with self._changed:
                self._open.discard(group)

    def _make(self, group: _Group) -> State[Any] | None:
        """One attempt at what is left of a group."""
        group.errors.clear()
        for index in list(group.left):
            if not group.slot:
                self._take_slot()
            if self._stopped or group.errors:
                self._give_slot()
                break
            group.slot = False
            self._submit(group, index)
        else:
            if group.newest:
                group.newest = False
                self._begin_next()
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not group.running or _fatal(group.errors))
            if self._stopped and group.left:
                return Cancelled(message="the stage ended before it")
            if group.errors:
                raise _fatal(group.errors) or group.errors[0]
        return None

    def _submit(self, group: _Group, index: int) -> None:
        try:
            future = self._inner.submit(self._job, index)
        except Exception as error:
            self._give_slot()
            group.errors.append(error)
            return
        with self._changed:
            group.running[future] = index
        future.add_done_callback(lambda done: self._settle(group, done))

    def _settle(self, group: _Group, future: Future[ShardReport]) -> None:
        """A unit is done; called in whatever thread did it."""
        with self._changed:
            index = group.running.pop(future)
            error = CancelledError() if future.cancelled() else future.exception()
            if error is None:
                group.left.remove(index)
                self._results.put((index, future.result()))
            else:
                group.errors.append(error)
                self._free += 1
            self._changed.notify_all()

    def _take_slot(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0 or self._stopped)
            self._free -= 1

    def _give_slot(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify_all()


def _fatal(errors: Sequence[BaseException]) -> BaseException | None:
    """The first error that trying again does not mend."""
    return next((error for error in errors if not isinstance(error, TransientError)), None)


def _may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.data, TransientError)


def _as_task(name: str, attempt: Callable[[], State[Any] | None]) -> None:
    """Do something as a Prefect task, which does it again where it raises a TransientError, but raises the last one."""

    @task(
        name="shards",
        task_run_name=lambda: name,
        retries=2,
        retry_delay_seconds=exponential_backoff(BACK_OFF),
        retry_jitter_factor=0.5,
        retry_condition_fn=_may_pass,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def shards(attempt: Any) -> State[Any] | None:
        result: State[Any] | None = attempt()
        return result

    shards(quote(attempt))
