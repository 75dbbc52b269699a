"""Threads of this process, which share its models and its device."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from pipeline.artifacts.units import Made
from pipeline.background import begin
from pipeline.runners.base import Commit, Job, Runner, Workers, unchanged
from schemas.manifest import ShardReport

T = TypeVar("T")


class ThreadsRunner(Runner):
    """One unit after the other, or several in as many threads.

    Args:
        workers: threads; "all" is one for each core.
    """

    elsewhere = False

    def __init__(self, workers: Workers = 1) -> None:
        super().__init__()
        self._count = (os.cpu_count() or 1) if workers == "all" else workers
        self._pool: ThreadPoolExecutor | None = None

    @property
    def ahead(self) -> int:
        """No more than are made, as each may hold its files in memory."""
        return self.workers

    def run(self, job: Job, todo: Sequence[int], commit: Commit = unchanged) -> Generator[tuple[int, ShardReport]]:
        if self.workers > 1:
            yield from super().run(job, todo, commit)
            return

        def write(index: int, made: Made) -> tuple[int, ShardReport]:
            return index, commit(index, job.target.write(made))

        writing: Future[tuple[int, ShardReport]] | None = None
        for index in todo:
            try:
                made = job.make(index)  # without a thread, so that an interrupt ends a unit in its middle
            except Exception:
                yield from _result(writing)
                raise
            yield from _result(writing)
            # While the next one is made. Files that are only made when they are written are work themselves.
            writing = begin(partial(write, index, made), "bpkd-write") if isinstance(made.files, list) else None
            if writing is None:
                yield write(index, made)
        yield from _result(writing)

    def _start(self) -> int:
        self._pool = ThreadPoolExecutor(self._count, "bpkd-unit")
        return self._count

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        assert self._pool is not None
        return self._pool.submit(lambda: job.target.write(job.make(index)))

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _result(future: Future[T] | None) -> Iterator[T]:
    """Waits for it, where there is something to wait for."""
    if future is not None:
        yield future.result()
