"""What Prefect tasks that do nothing cost: time, requests to the server, the server's processor."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

SETTLE = 2.0
"""Seconds that the server has for what it was told last."""


@dataclass(frozen=True)
class ServerLoad:
    """Per task: seconds that it adds, HTTP requests, events, seconds of the server's processor. Requests per run."""

    seconds: float
    requests: float
    events: float
    server: float
    run_requests: float


def server_load(few: int, many: int) -> ServerLoad:
    """From two flow runs on an embedded server; to be called in a process of its own, as it sets the environment."""
    os.environ["PREFECT_HOME"] = tempfile.mkdtemp()
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE"):
        os.environ.pop(name, None)
    from flows import server

    server.configure()
    with server.started():
        pass
    counts = Counter[str]()
    _count_calls(counts)
    _flow_run(few, counts)  # whatever is done once is done now
    less, more = _flow_run(few, counts), _flow_run(many, counts)
    seconds, requests, events, processor = ((b - a) / (many - few) for a, b in zip(less, more, strict=True))
    requests = max(0.0, requests)  # of a flow run they come and go by one or two
    return ServerLoad(max(0.0, seconds), requests, events, processor, run_requests=less[1] - few * requests)


def _flow_run(tasks: int, counts: Counter[str]) -> tuple[float, float, float, float]:
    """(seconds, requests, events, seconds of the server's processor) of a flow run with so many tasks."""
    from prefect import flow

    from flows.tracked import Tracked
    from pipeline.artifacts.artifact import Artifact
    from pipeline.artifacts.units import Made
    from pipeline.runners.base import Job
    from pipeline.runners.threads import ThreadsRunner

    @flow(persist_result=False)
    def nothing() -> None:
        with tempfile.TemporaryDirectory() as folder, Artifact(folder, "teacher-logits", {}) as artifact:
            opener: Any = None  # threads share what is open
            job = Job("nothing", lambda index: Made([]), opener, artifact.target())
            with ThreadsRunner(1) as inner:
                assert len(list(Tracked(inner, "scale").run(job, range(tasks)))) == tasks

    counts.clear()
    cpu, began = _server_cpu(), time.perf_counter()
    nothing()
    seconds = time.perf_counter() - began
    time.sleep(SETTLE)
    return seconds, float(counts["requests"]), float(counts["events"]), _server_cpu() - cpu


def _server_cpu() -> float:
    """Seconds of the processor that the embedded server, a child of this process, has had."""
    return sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))


def _count_calls(counts: Counter[str]) -> None:
    import httpx
    from prefect.events.worker import EventsWorker

    def counted(owner: Any, method: str, name: str) -> None:
        inner: Callable[..., Any] = getattr(owner, method)

        def call(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return inner(*args, **kwargs)

        setattr(owner, method, call)

    # Where all requests of a client pass, those that it repeats as well.
    counted(httpx.Client, "send", "requests")
    counted(httpx.AsyncClient, "send", "requests")
    counted(EventsWorker, "_handle", "events")
