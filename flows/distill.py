"""The run as a Prefect flow: every stage is a task. What is done is what the manifests say, not what Prefect says."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from flows import server
from flows.stages import Outcome, follow, perform
from pipeline.progress import Progress, Silent
from schemas.config import Config

server.configure()  # before Prefect reads its settings

from prefect import flow, task  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402

_progress: ContextVar[Progress] = ContextVar("progress", default=Silent())  # noqa: B039
"""Where this process reports. It is no parameter, as Prefect sends those to its server."""


@task(task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False, retries=0)
def stage(name: str, config: Config) -> Any:
    """One stage. A failure is not retried: wrong input stays wrong, and running again resumes."""
    return perform(name, config, progress=_progress.get())


@flow(flow_run_name="{config.run.name}", persist_result=False, retries=0)
def distill(config: Config) -> Outcome:
    """Cache, mine, export, train, and evaluate where there is held-out data."""
    return follow(config, lambda name: stage.with_options(name=name)(name, config))


def run_flow(config: Config, *, progress: Progress) -> Outcome:
    """Run the flow in this process.

    Raises:
        BpkdError: Prefect's server does not start, or the one that its settings name does not answer.
        Exception: what a stage raised, as it raised it.
    """
    token = _progress.set(progress)
    try:
        server.start()
        return distill(config)
    finally:
        _progress.reset(token)
