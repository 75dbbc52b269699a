"""Processes of this machine, each with models of its own and, where there are several, a GPU of its own."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any

import torch

from pipeline.interrupts import end_with, interrupts_blocked
from pipeline.models import pick_device
from pipeline.runners.base import Job, Runner, Workers
from pipeline.runners.outcomes import killed, named, resolve
from pipeline.runners.worker import Environment, make_unit
from schemas.manifest import ShardReport

ATTEMPTS = 3
"""How often a unit is handed out before it counts as what kills its workers."""
GRACE = 5
"""Seconds to wait for the end of the processes."""

_log = logging.getLogger("bpkd.runners")

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
        self._dispatcher: _Dispatcher | None = None

    def _described(self) -> str:
        return counted(local_workers(self._count, self._device), "process", "processes")

    def _start(self) -> int:
        count = local_workers(self._count, self._device)
        self._dispatcher = _Dispatcher(count, Environment.here(self._device))
        return count

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        unit = _Unit(job, index)
        if self._dispatcher is None:  # closed by another thread
            resolve(unit.outer, None)
        else:
            self._dispatcher.take(unit)
        return unit.outer

    def _stop(self) -> None:
        if self._dispatcher is not None:
            self._dispatcher.end()
            self._dispatcher = None


def counted(count: int, one: str, many: str) -> str:
    """For example "2 processes"."""
    return f"{count} {one if count == 1 else many}"


def local_workers(count: Workers, device: str) -> int:
    """How many processes of this machine "all" is."""
    if count != "all":
        return count
    chosen = pick_device(device)
    if chosen.type == "cuda" and ":" not in device:
        return torch.cuda.device_count()
    return (os.cpu_count() or 1) if chosen.type == "cpu" else 1


@dataclass(eq=False)
class _Unit:
    """A unit that is wanted.

    Attributes:
        outer: gets what comes of it.
        inner: of the pool that has it now.
        lost: how many pools broke that had it.
    """

    job: Job
    index: int
    outer: Future[ShardReport] = field(default_factory=Future)
    inner: Future[ShardReport] | None = None
    lost: int = 0


class _Dispatcher:
    """Hands units to a pool of processes, and to another one where that broke.

    It all happens in one thread of its own, to which everybody else sends messages. A pool runs the callbacks of its
    futures while it holds a lock that handing it a unit takes, too: a callback that did more than send a message
    could wait for ever.
    """

    def __init__(self, count: int, environment: Environment) -> None:
        self._count, self._environment = count, environment
        self._messages: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._under_way: list[_Unit] = []
        self._ending = False
        self._pool = _pool(count)
        self._thread = Thread(target=self._work, name="bpkd-processes", daemon=True)
        self._thread.start()

    def take(self, unit: _Unit) -> None:
        self._messages.put(partial(self._hand_out, unit))

    def end(self) -> None:
        """End the processes without waiting for what they are at; units that are not made are cancelled."""
        self._ending = True
        self._messages.put(None)
        self._thread.join(GRACE)

    def _work(self) -> None:
        with interrupts_blocked():  # which the processes inherit
            while (message := self._messages.get()) is not None:
                try:
                    message()
                except Exception as error:  # such as no memory for another pool
                    self._fail(error)
        self._fail(None)
        for process in (self._pool._processes or {}).values():
            process.kill()
        # Waited for, as Python may stumble over a pool that ends while the interpreter does.
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _hand_out(self, unit: _Unit) -> None:
        if self._ending or unit.outer.cancelled():
            resolve(unit.outer, None)
            return
        self._under_way.append(unit)
        try:
            # The first units start the processes.
            job = (unit.job.opener, unit.job.target)
            unit.inner = self._pool.submit(make_unit_here, job, unit.index, self._environment)
        except BrokenExecutor:
            self._begin_anew()
        else:
            unit.inner.add_done_callback(lambda inner: self._messages.put(partial(self._settle, unit, inner)))

    def _settle(self, unit: _Unit, inner: Future[ShardReport]) -> None:
        """A pool is done with a unit."""
        if unit.inner is not inner:  # of a pool that broke, as others have noticed before
            return
        if not inner.cancelled() and isinstance(inner.exception(), BrokenExecutor):
            self._begin_anew()
            return
        self._under_way.remove(unit)
        resolve(unit.outer, None if inner.cancelled() else inner.exception() or inner.result())

    def _begin_anew(self) -> None:
        """The pool is broken, and all that it had is lost: give it to a new one, unless it has killed often enough."""
        self._pool.shutdown(wait=False)
        self._pool = _pool(self._count)
        lost, self._under_way = self._under_way, []
        _log.warning("a worker was killed; what was under way is made again: %s", named(unit.index for unit in lost))
        for unit in lost:
            unit.inner, unit.lost = None, unit.lost + 1
        suspects = [unit for unit in lost if unit.lost == ATTEMPTS]
        for unit in suspects:
            resolve(unit.outer, killed(unit.job, (suspect.index for suspect in suspects), ATTEMPTS))
        for unit in lost:
            if unit not in suspects:
                self._hand_out(unit)

    def _fail(self, error: Exception | None) -> None:
        failed, self._under_way = self._under_way, []
        for unit in failed:
            resolve(unit.outer, error)


def make_unit_here(job: tuple[Any, Any], index: int, environment: Environment) -> ShardReport:
    """`make_unit` in a process of the pool."""
    return make_unit(*job, index, environment, _slot)


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
