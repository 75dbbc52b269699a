"""A Dask cluster: one that runs already, or processes of this machine that Dask looks after."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from typing import Any

from pipeline.interrupts import interrupts_blocked
from pipeline.runners.base import Job, Runner, Workers, require_extra
from pipeline.runners.processes import local_workers
from pipeline.runners.worker import Terms, make_unit
from schemas.errors import TransientError
from schemas.manifest import ShardReport

PATIENCE = 30
"""Seconds until a cluster that is named must answer and have a worker."""
GRACE = 5
"""Seconds that workers have to end."""


class DaskRunner(Runner):
    """Units as Dask tasks. A worker that is lost is Dask's to replace: its units go to others, three times at most.

    Args:
        workers: units at a time; "all" is one for each thread of the cluster's workers, or on this machine one for each
            GPU or core.
        device: of the config. Workers of this machine take one GPU each; those of a cluster are to see only theirs, as
            dask-cuda arranges it.
        address: of the scheduler, such as "tcp://host:8786"; without one, workers of this machine are started.
        memory: at which Dask restarts a worker of this machine, such as "8GB".
    """

    def __init__(self, workers: Workers = 1, device: str = "auto", address: str = "", memory: str = "0") -> None:
        super().__init__()
        require_extra("distributed", "dask")
        self._count, self._device, self._address, self._memory = workers, device, address, memory

    def _start(self) -> int:
        distributed: Any = import_module("distributed")
        self._terms = Terms.here(self._device)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it has to say is raised, too
        self._cluster: Any = None
        with interrupts_blocked():
            if not self._address:
                self._cluster = distributed.LocalCluster(
                    n_workers=local_workers(self._count, self._device),
                    threads_per_worker=1,
                    memory_limit=self._memory if self._memory != "0" else 0,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
            try:
                self._client: Any = distributed.Client(
                    self._cluster or self._address, timeout=PATIENCE, set_as_default=False
                )
                self._client.wait_for_workers(1, timeout=PATIENCE)
            except (OSError, TimeoutError, ValueError) as error:
                raise TransientError(f"the Dask cluster at {self._address} does not answer: {error}") from None
        return int(sum(self._client.nthreads().values())) if self._count == "all" else self._count

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        outer: Future[ShardReport] = Future()
        inner = self._client.submit(
            _make, job.opener, job.target, index, self._terms, own=self._cluster is not None, pure=False
        )

        def done(inner: Any) -> None:
            if not outer.set_running_or_notify_cancel():
                return
            try:
                outer.set_result(inner.result())
            except BaseException as error:
                outer.set_exception(_explained(error, job, index))
            finally:
                inner.release()

        inner.add_done_callback(done)
        return outer

    def _stop(self) -> None:
        with suppress(TimeoutError):
            self._client.close(timeout=GRACE)
            if self._cluster is not None:
                self._cluster.close(timeout=GRACE)


def _make(opener: Any, target: Any, index: int, terms: Terms, own: bool) -> ShardReport:
    from distributed import get_worker

    name = get_worker().name
    return make_unit(opener, target, index, terms, name if own and isinstance(name, int) else None)


def _explained(error: BaseException, job: Job, index: int) -> BaseException:
    """What a worker raised as it is; what Dask has to say of one that was lost in one line."""
    if not type(error).__module__.startswith(("distributed.", "concurrent.", "asyncio.")):
        return error
    return TransientError(f"{job.name}: shard {index} was lost with its workers ({type(error).__name__}: {error})")
