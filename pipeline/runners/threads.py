"""Threads of this process, which share its models and its device."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.runners.base import Job, Runner, Workers
from schemas.manifest import ShardReport


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

    def run(self, job: Job, todo: Sequence[int]) -> Generator[tuple[int, ShardReport]]:
        if self.workers > 1:
            yield from super().run(job, todo)
            return
        for index in todo:  # without a thread, so that an interrupt ends a unit in its middle
            yield index, job.target.write(job.make(index))

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
