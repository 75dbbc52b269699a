"""A Ray cluster: one that runs already, or one that is started on this machine for as long as the run takes."""

from __future__ import annotations

import logging
import os
from concurrent.futures import Future
from importlib import import_module
from threading import Lock
from typing import Any

from pipeline.interrupts import interrupts_blocked
from pipeline.runners.base import Job, Runner, Workers, require_extra
from pipeline.runners.processes import local_workers
from pipeline.runners.worker import Terms, make_unit
from schemas.errors import TransientError, UserError
from schemas.manifest import ShardReport
from schemas.sections import in_bytes

RESTARTS = 3
"""How often an actor is started anew, and a unit given to it again."""


class RayRunner(Runner):
    """Units as calls of actors, each of which keeps its models. Ray starts a lost actor anew and repeats its calls.

    Args:
        workers: actors; "all" is one for each `gpus_per_worker` GPUs of the cluster, or without GPUs for each core.
        device: of the config.
        address: of the cluster, such as "auto" or "ray://host:10001"; without one, Ray is started on this machine.
        memory: that Ray reserves for an actor, such as "8GB".
        gpus_per_worker: that Ray gives to an actor, which sees no others; a fraction shares one. When left out 1 where
            there are GPUs and `device` admits them.
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
        self._count, self._device, self._address, self._gpus = workers, device, address, gpus_per_worker
        try:
            self._memory = int(in_bytes(memory)) if memory else None
        except ValueError as error:
            raise UserError(f"run.runner_options: memory = {memory!r}: {error}") from None
        self._choosing = Lock()

    def _start(self) -> int:
        # Read when ray is imported; a user who wants its statistics sent can say so.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        logging.getLogger("ray").setLevel(logging.CRITICAL)  # what it has to say is raised, too
        ray: Any = import_module("ray")
        self._terms = Terms.here(self._device)
        self._own = not ray.is_initialized()
        if self._own:
            options: dict[str, Any] = {"address": self._address} if self._address else self._local()
            try:
                with interrupts_blocked():
                    ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL, namespace="bpkd")
            except (ConnectionError, RuntimeError, OSError, ValueError) as error:
                where = f"the Ray cluster at {self._address} does not answer" if self._address else "Ray does not start"
                raise TransientError(f"{where}: {error}") from None
        total = ray.cluster_resources()
        gpus = self._gpus if self._gpus is not None else float(self._device in ("auto", "cuda") and "GPU" in total)
        every = max(1, int(total["GPU"] / gpus if gpus else total.get("CPU", 1)))
        count = every if self._count == "all" else self._count
        actor = ray.remote(
            num_cpus=1, num_gpus=gpus, memory=self._memory, max_restarts=RESTARTS, max_task_retries=RESTARTS
        )(_Worker)
        self._actors: list[Any] = [actor.remote() for _ in range(count)]
        self._load = [0] * count
        return count

    def _local(self) -> dict[str, Any]:
        count = local_workers(self._count, self._device)
        return {"num_cpus": count, "include_dashboard": False, "configure_logging": False}

    def _submit(self, job: Job, index: int) -> Future[ShardReport]:
        with self._choosing:
            chosen = min(range(len(self._actors)), key=self._load.__getitem__)
            self._load[chosen] += 1
        outer: Future[ShardReport] = Future()
        inner = self._actors[chosen].make.remote(job.opener, job.target, index, self._terms).future()

        def done(inner: Future[ShardReport]) -> None:
            with self._choosing:
                self._load[chosen] -= 1
            if not outer.set_running_or_notify_cancel():
                return
            error = inner.exception()
            if error is None:
                outer.set_result(inner.result())
            else:
                outer.set_exception(_explained(error, job, index))

        inner.add_done_callback(done)
        return outer

    def _stop(self) -> None:
        ray: Any = import_module("ray")
        for actor in self._actors:
            ray.kill(actor)
        if self._own:
            ray.shutdown()


class _Worker:
    """The actor."""

    def make(self, opener: Any, target: Any, index: int, terms: Terms) -> ShardReport:
        return make_unit(opener, target, index, terms)


def _explained(error: BaseException, job: Job, index: int) -> BaseException:
    """What a worker raised as it is; what Ray has to say of one that was lost in one line."""
    from ray.exceptions import RayTaskError

    if isinstance(error, RayTaskError):
        return error.cause if isinstance(error.cause, BaseException) else error
    reason = " ".join(str(error).split("\n")[0].split())
    return TransientError(f"{job.name}: shard {index} was lost with its workers ({type(error).__name__}: {reason})")
