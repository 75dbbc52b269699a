"""A Dask cluster: one that runs already, or processes of this machine that Dask looks after."""

from __future__ import annotations

import logging
import os
import re
import signal
import time
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from multiprocessing import resource_tracker
from typing import Any

from pipeline.interrupts import interrupts_blocked
from pipeline.runners.base import Job, Runner, Workers, option_address, option_bytes, require_extra
from pipeline.runners.outcomes import killed, resolve
from pipeline.runners.processes import counted, local_workers
from pipeline.runners.worker import Environment, forget, make_unit
from schemas.errors import TransientError, UserError
from schemas.manifest import ShardReport
from schemas.urls import shown

PATIENCE = 30
"""Seconds until a cluster that is named must answer and have a worker."""
GRACE = 5
"""Seconds that workers have to end."""
RECOUNT = 5
"""Seconds between two counts of the workers of a cluster."""


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

    def __init__(self, workers: Workers = 1, device: str = "auto", address: str = "", memory: str = "") -> None:
        super().__init__()
        require_extra("distributed", "dask")
        self._count, self._device = workers, device
        self._address, self._memory = option_address(address), option_bytes(memory)
        if self._address and not re.search(r":\d+/?$|^inproc://", self._address):
            raise UserError(f"run.runner_options: address = {shown(address)!r}: takes tcp://HOST:PORT of a scheduler")
        self._cluster: Any = None
        self._client: Any = None
        self._job: Job | None = None
        self._under_way: set[int] = set()

    def _described(self) -> str:
        if self._address:
            return f"on the Dask cluster at {shown(self._address)}"
        return f"a Dask cluster of {counted(local_workers(self._count, self._device), 'worker', 'workers')}"

    def _start(self) -> int:
        distributed: Any = import_module("distributed")
        self._check_scheme()
        self._environment = Environment.here(self._device)
        _silence()
        # The thread that starts it, for its first process, has interrupts unblocked from then on.
        resource_tracker.ensure_running()
        with interrupts_blocked():
            try:
                if not self._address:
                    self._cluster = distributed.LocalCluster(
                        n_workers=local_workers(self._count, self._device),
                        threads_per_worker=1,
                        memory_limit=self._memory,
                        dashboard_address=None,
                        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # it serves its state even so
                        silence_logs=logging.CRITICAL,
                    )
                self._client = distributed.Client(
                    self._cluster or self._address, timeout=PATIENCE, set_as_default=False
                )
                self._client.wait_for_workers(1, timeout=PATIENCE)
            except (OSError, TimeoutError, ValueError, RuntimeError) as error:
                where = f"the Dask cluster at {shown(self._address)}" if self._address else "Dask on this machine"
                raise TransientError(f"{where} does not answer: {error}") from None
        return self._count_workers() if self._count == "all" else self._count

    def _check_scheme(self) -> None:
        """A client that cannot be built would wait a minute for what it has not begun."""
        scheme, separator, _ = self._address.partition("://")
        try:
            if separator:
                import_module("distributed.comm.registry").get_backend(scheme)
        except ValueError as error:
            raise UserError(f"run.runner_options: address = {shown(self._address)!r}: {error}") from None

    @property
    def ahead(self) -> int:
        """For those workers that are there now: a cluster may grow."""
        known = self.workers
        if self._count == "all" and time.monotonic() - self._counted > RECOUNT:
            with suppress(Exception):  # of a cluster that is lost, of which the units will tell
                known = self._workers = self._count_workers()
        return 2 * known

    def _count_workers(self) -> int:
        self._counted = time.monotonic()
        return max(int(sum(self._client.nthreads().values())), 1)

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        outer: Future[ShardReport] = Future()
        if self._job is not job:
            self._job, self._under_way = job, set()
        under_way = self._under_way
        under_way.add(index)
        inner = self._client.submit(
            _make, job.opener, job.target, index, self._environment, own=self._cluster is not None, pure=False
        )

        def done(inner: Any) -> None:
            result: ShardReport | BaseException
            try:
                result = inner.result()
            except BaseException as error:
                result = _explained(error, job, index, under_way)
            else:
                under_way.discard(index)
            inner.release()
            resolve(outer, result)

        inner.add_done_callback(done)
        return outer

    def _stop(self) -> None:
        client, cluster, self._client, self._cluster = self._client, self._cluster, None, None
        if client is not None and cluster is None:
            with suppress(Exception):  # of a cluster that is lost
                client.run(forget, on_error="ignore")
        for nanny in cluster.workers.values() if cluster is not None else ():
            with suppress(OSError):  # asked to end, a worker first ends what it is at
                if nanny.pid:
                    os.kill(nanny.pid, signal.SIGKILL)
        for started in (client, cluster):
            with suppress(OSError, TimeoutError):  # of a cluster that is lost
                if started is not None:
                    started.close(timeout=GRACE)


def _silence() -> None:
    """What Dask has to say is raised, too. Its own configuration has given each of its loggers a level."""
    for name in [*logging.root.manager.loggerDict]:
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _make(opener: Any, target: Any, index: int, environment: Environment, own: bool) -> ShardReport:
    from distributed import get_worker

    name = get_worker().name
    return make_unit(opener, target, index, environment, name if own and isinstance(name, int) else None)


def _explained(error: BaseException, job: Job, index: int, under_way: Iterable[int]) -> BaseException:
    """What a worker raised as it is; what Dask has to say of lost workers, or of a lost cluster, in one line."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return killed(job, [*under_way, index], error.allowed_failures + 1)
    if isinstance(error, RuntimeError) and "deserialization of the task graph" in str(error):
        return UserError("the Dask scheduler cannot read what the run sends; it needs bpkd installed as its workers do")
    if not type(error).__module__.startswith(("distributed.", "concurrent.", "asyncio.")):
        return error
    return TransientError(f"{job.name}: the Dask cluster was lost ({type(error).__name__}: {error})")
