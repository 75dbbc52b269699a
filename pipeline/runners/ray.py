"""A Ray cluster: one that runs already, or one that is started on this machine for as long as the run takes."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Lock
from typing import Any

from pipeline.interrupts import interrupts_blocked
from pipeline.runners.base import Job, Runner, Workers, option_address, option_bytes, require_extra
from pipeline.runners.outcomes import killed, resolve
from pipeline.runners.processes import counted, local_workers
from pipeline.runners.worker import Environment, make_unit
from schemas.errors import BpkdError, TransientError, UserError
from schemas.manifest import ShardReport
from schemas.urls import shown

RESTARTS = 3
"""How often a unit is given to an actor again that was lost with it and started anew."""
PATIENCE = 60
"""Seconds until the first actor must be there."""
LISTENS = 5
"""Seconds until the head of a cluster must take a connection."""


_SKIPPED = "RAY_DEDUP_LOGS_SKIP_REGEX"
"""Environment variable: lines that Ray does not print."""


class _Actor:
    """An actor, and the units that it has.

    Attributes:
        handle: Ray's.
        started: done once the actor is there; where others use the cluster that may take long.
        units: that it has; of an actor that failed also those with which it did.
        failed: whether it was lost more often than Ray tries again.
    """

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.started: Future[None] = handle.start.remote().future()
        self.units: list[int] = []
        self.failed = False

    @property
    def ready(self) -> bool:
        return self.started.done() and self.started.exception() is None


class RayRunner(Runner):
    """Units as calls of actors, each of which keeps its models. Ray starts a lost actor anew and repeats its calls.

    Args:
        workers: actors; "all" is one for each `gpus_per_worker` GPUs of the cluster, or without GPUs for each core.
        device: of the config.
        address: of the cluster that this machine is a node of, "auto" or HOST:PORT of its head; without one, Ray is
            started on this machine.
        memory: that Ray reserves for an actor, such as "8GB".
        gpus_per_worker: that Ray gives to an actor, which sees no others; a fraction shares one. When left out 1 where
            the run computes on GPUs.
    """

    def __init__(
        self,
        workers: Workers = 1,
        device: str = "auto",
        address: str = "",
        memory: str = "",
        gpus_per_worker: float | None = None,
    ) -> None:
        super().__init__()
        require_extra("ray", "ray")
        if gpus_per_worker is not None and not (_is_number(gpus_per_worker) and gpus_per_worker >= 0):
            raise UserError(f"run.runner_options: gpus_per_worker = {gpus_per_worker!r}: takes a number, 0 or above")
        self._count, self._device, self._gpus = workers, device, gpus_per_worker
        self._address, self._memory = option_address(address), option_bytes(memory)
        if self._address not in ("", "auto") and not re.fullmatch(r"[^/:]+:\d+", self._address):
            raise UserError(
                f'run.runner_options: address = {shown(address)!r}: takes "auto" or HOST:PORT of a cluster, '
                "of which this machine is a node"
            )
        self._choosing = Lock()
        self._actors: list[_Actor] = []
        self._own = False
        self._new: Callable[[], _Actor]

    def _described(self) -> str:
        if self._address:
            return f"workers on the Ray cluster at {shown(self._address)}"
        return f"a Ray cluster of {counted(local_workers(self._count, self._device), 'worker', 'workers')}"

    @property
    def ahead(self) -> int:
        """As many as those that are there can take: what is given to one stays with it, and the others may take
        minutes to come."""
        assert self.workers
        return 2 * max(sum(actor.ready for actor in self._actors), 1)

    def _start(self) -> int:
        ray = _import()
        self._environment = Environment.here(self._device)
        gpus = float(self._environment.type == "cuda") if self._gpus is None else self._gpus
        if not ray.is_initialized():
            _require_listener(self._address)
            options: dict[str, Any] = {"address": self._address} if self._address else self._local(gpus)
            self._own = True
            try:
                with interrupts_blocked(), _own_signals():
                    ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL, namespace="bpkd")
            except (ConnectionError, RuntimeError, OSError, ValueError) as error:
                at = shown(self._address)
                where = f"the Ray cluster at {at} does not answer" if at else "Ray does not start"
                raise TransientError(f"{where}: {error}") from None
        self._head = ray.get_runtime_context().gcs_address
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        count = _fitting(self._count, {"CPU": 1, "GPU": gpus, "memory": self._memory}, nodes)
        remote = ray.remote(
            num_cpus=1, num_gpus=gpus, memory=self._memory or None, max_restarts=-1, max_task_retries=RESTARTS
        )(_Worker)
        self._new = lambda: _Actor(remote.remote())
        self._actors = [self._new() for _ in range(count)]
        self._wait_for_one()
        return count

    def _local(self, gpus: float) -> dict[str, Any]:
        count = local_workers(self._count, self._device)
        if self._count == "all" and gpus:
            count = max(1, int(count / gpus))
        # "local": else Ray would join one that happens to run on this machine.
        return {"address": "local", "num_cpus": count, "include_dashboard": False, "configure_logging": False}

    def _wait_for_one(self) -> None:
        done = wait([actor.started for actor in self._actors], PATIENCE, FIRST_COMPLETED).done
        if not done:
            raise TransientError(f"Ray has started no worker in {PATIENCE} seconds; the cluster may be busy")
        if all(future.exception() for future in done):
            error = next(iter(done)).exception()
            raise BpkdError(f"Ray cannot start a worker; is bpkd installed on all nodes? {_first_line(error)}")

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        actor = self._choose(index)
        outer: Future[ShardReport] = Future()
        inner = actor.handle.make.remote(job.opener, job.target, index, self._environment).future()

        def done(inner: Future[ShardReport]) -> None:
            error = inner.exception()
            result = inner.result() if error is None else _explained(error, job, [*actor.units, index], self._head)
            with self._choosing:
                actor.failed |= _is_loss(error)
                if not actor.failed:
                    actor.units.remove(index)
            resolve(outer, result)

        inner.add_done_callback(done)
        return outer

    def _choose(self, index: int) -> _Actor:
        """The actor with the least to do of those that have started; one that has failed is replaced."""
        with self._choosing:
            self._actors = [self._new() if actor.failed else actor for actor in self._actors]
            actor = min(self._actors, key=lambda actor: (not actor.ready, len(actor.units)))
            actor.units.append(index)
        return actor

    def _stop(self) -> None:
        if not self._own and not self._actors:
            return
        ray = _import()
        own, actors, self._own, self._actors = self._own, self._actors, False, []
        for actor in actors:
            with suppress(Exception):  # it is lost already
                ray.kill(actor.handle)
        if own:
            ray.shutdown()


class _Worker:
    """The actor."""

    def start(self) -> None:
        """Returns once the actor is there."""

    def make(self, opener: Any, target: Any, index: int, environment: Environment) -> ShardReport:
        return make_unit(opener, target, index, environment)


def _require_listener(address: str) -> None:
    """Ray would ask for minutes, and say so in lines of its own."""
    if ":" in address and not _listens(address):
        raise TransientError(f"the Ray cluster at {shown(address)} does not answer: nobody listens there")


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=LISTENS):
            return True
    except OSError:
        return False


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what SIGTERM does: Ray would print a stack of addresses."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(ValueError):  # in another thread than the main one, where Ray has changed nothing
            signal.signal(signal.SIGTERM, before)


def _import() -> Any:
    """Ray, which writes nothing: what it has to say is raised, too."""
    # Read when ray is imported; a user who wants its statistics sent can say so.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # What its daemon says of lost workers is written to stdout, where a command's result belongs.
    given = os.environ.setdefault(_SKIPPED, ".")
    ray: Any = import_module("ray")
    if given == ".":
        os.environ.pop(_SKIPPED, None)
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # importing it sets another
    return ray


def _fitting(wanted: Workers, needs: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> int:
    """How many workers to start.

    Args:
        wanted: that many, or all that there is room for.
        needs: resources of one: CPUs, GPUs, bytes of memory.
        nodes: resources of each node.

    Raises:
        UserError: there is no room for so many, not even on an idle cluster; Ray would wait for ever.
    """
    room = sum(
        min(int(node.get(name, 0) / amount + 1e-6) for name, amount in needs.items() if amount) for node in nodes
    )
    if room and (wanted == "all" or wanted <= room):
        return room if wanted == "all" else wanted
    found = [f"{count} with {_amounts(dict(node))}" for node, count in _alike(nodes, needs)]
    raise UserError(
        f"Ray has room for {room} workers, run.workers = {wanted}; each takes {_amounts(needs)}, and its nodes are "
        f"{', '.join(found)}; set run.workers, or memory or gpus_per_worker in run.runner_options, lower"
    )


def _alike(
    nodes: Sequence[Mapping[str, float]], names: Iterable[str]
) -> list[tuple[tuple[tuple[str, float], ...], int]]:
    """(resources, how many nodes have them), the most frequent first."""
    return Counter(tuple((name, node.get(name, 0.0)) for name in names) for node in nodes).most_common(3)


def _amounts(resources: Mapping[str, float]) -> str:
    """For example "1 CPU, 0.5 GPU, 8 GB of memory"."""
    memory = resources["memory"]
    return ", ".join(
        [
            *(f"{resources[name]:g} {name}" for name in ("CPU", "GPU")),
            *([f"{memory / 1e9:,.4g} GB of memory"] if memory else []),
        ]
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_loss(error: BaseException | None) -> bool:
    """Whether an actor was lost with a unit, more often than Ray tries again."""
    from ray.exceptions import OutOfMemoryError, RayActorError, WorkerCrashedError

    return isinstance(error, OutOfMemoryError | RayActorError | WorkerCrashedError)


def _explained(error: BaseException, job: Job, units: Sequence[int], head: str) -> BaseException:
    """What a worker raised as it is; what Ray has to say of lost actors, or of a lost cluster, in one line."""
    from ray.exceptions import RayTaskError

    if isinstance(error, RayTaskError):
        return error.cause if isinstance(error.cause, BaseException) else error
    if _is_loss(error) and _listens(head):
        return killed(job, units, RESTARTS + 1)
    return TransientError(f"{job.name}: the Ray cluster was lost ({_first_line(error)})")


def _first_line(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split(chr(10))[0].split())}"
