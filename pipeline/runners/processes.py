"""Processes of this machine, each with models of its own and, where there are several, a GPU of its own."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from threading import Lock
from typing import Any

import torch

from pipeline.interrupts import end_with, interrupts_blocked
from pipeline.models import pick_device
from pipeline.runners.base import Job, Runner, Workers
from pipeline.runners.worker import Terms, make_unit
from schemas.errors import TransientError
from schemas.manifest import ShardReport

ATTEMPTS = 3
"""How often a unit is handed out before it counts as what kills its workers."""

_slot: int | None = None


class ProcessesRunner(Runner):
    """A pool of processes. Where one is killed, all begin anew and make again what was under way.

    Args:
        workers: processes; "all" is one for each GPU, or without any for each core.
        device: of the config.
    """

    def __init__(self, workers: Workers = 1, device: str = "auto") -> None:
        super().__init__()
        self._count, self._device = workers, device
        self._changing = Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False

    def _start(self) -> int:
        self._terms = Terms.here(self._device)
        count = local_workers(self._count, self._device)
        self._pool, self._closed = _pool(count), False
        return count

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        outer: Future[ShardReport] = Future()
        self._hand_out(job, index, outer, ATTEMPTS)
        return outer

    def _hand_out(self, job: Job, index: int, outer: Future[ShardReport], attempts: int) -> None:
        """Have a unit made; `outer` gets what comes of it."""

        def done(inner: Future[ShardReport]) -> None:
            if inner.cancelled() or outer.cancelled() or self._closed:
                outer.cancel()
                return
            error = inner.exception()
            if error is None:
                _resolve(outer, inner.result())
            elif not isinstance(error, BrokenExecutor):
                _resolve(outer, error)
            elif attempts > 1:
                self._replace(broken=pool)
                self._hand_out(job, index, outer, attempts - 1)
            else:
                _resolve(
                    outer,
                    TransientError(
                        f"{job.name}: shard {index} was given to {ATTEMPTS} workers, and each was killed; where memory "
                        "ran out, set run.workers or the batch sizes lower"
                    ),
                )

        with self._changing:
            if self._pool is None or self._closed:
                outer.cancel()
                return
            pool = self._pool
            try:
                with interrupts_blocked():  # the first unit starts the processes
                    inner = pool.submit(make_unit_here, (job.opener, job.target), index, self._terms)
            except BrokenExecutor as error:
                inner = Future()
                inner.set_exception(error)
        inner.add_done_callback(done)

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        """A new pool in place of a broken one; several units notice, and the first replaces it."""
        with self._changing:
            if self._pool is broken:
                broken.shutdown(wait=False)
                self._pool = _pool(self._workers)

    def _stop(self) -> None:
        self._closed = True
        with self._changing:
            assert self._pool is not None
            processes = list((self._pool._processes or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        for process in processes:  # what they are at is not wanted any more
            process.kill()


def local_workers(count: Workers, device: str) -> int:
    """How many processes of this machine "all" is."""
    if count != "all":
        return count
    chosen = pick_device(device)
    if chosen.type == "cuda" and ":" not in device:
        return torch.cuda.device_count()
    return (os.cpu_count() or 1) if chosen.type == "cpu" else 1


def make_unit_here(job: tuple[Any, Any], index: int, terms: Terms) -> ShardReport:
    """`make_unit` in a process of the pool."""
    return make_unit(*job, index, terms, _slot)


def _begin(parent: int, started: Any) -> None:
    """Called in every new process."""
    global _slot
    end_with(parent)
    with started.get_lock():
        _slot = started.value
        started.value += 1


def _pool(count: int) -> ProcessPoolExecutor:
    # Not by fork: CUDA does not survive it, nor do locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, _begin, (os.getpid(), context.Value("i", 0)))


def _resolve(future: Future[ShardReport], outcome: ShardReport | BaseException) -> None:
    """Give a future its outcome, unless nobody waits for it any more."""
    if future.set_running_or_notify_cancel():
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
