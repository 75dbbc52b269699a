"""What the flows of one run share. It is no parameter of theirs, as Prefect sends those to its server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.latest import VERSION_NAME
from pipeline.progress import Progress
from pipeline.runs import refuse_mixing
from schemas.config import Config

if TYPE_CHECKING:
    from pipeline.runners import Runner


@dataclass(frozen=True)
class RunContext:
    """One run.

    Attributes:
        config: of the run.
        progress: where its stages report.
        runner: makes their shards.
        versioned: it is one of several versions, and known to be made from what the config names now.
        name: of the run, or of the deployment that it is of.
    """

    config: Config
    progress: Progress
    runner: Runner
    versioned: bool = False
    name: str = ""

    @property
    def title(self) -> str:
        """For people: the name, and the version where there are several."""
        last = self.config.output.rpartition("/")[2]
        return f"{self.name} · {last}" if self.versioned and VERSION_NAME.fullmatch(last) else self.name


_current: ContextVar[RunContext | None] = ContextVar("run", default=None)


def current_run() -> RunContext | None:
    """The run that the calling flow is part of; None where a worker runs a deployment."""
    return _current.get()


@contextmanager
def run_context(
    config: Config, progress: Progress, *, versioned: bool = False, name: str | None = None
) -> Iterator[RunContext]:
    """Let the flows that are called within work on this run, with one runner for all of them.

    Raises:
        UserError: the config names a runner that cannot be had.
    """
    from pipeline.runners import make_runner

    with make_runner(config) as runner:
        run = RunContext(config, progress, runner, versioned, name or config.run.name)
        token = _current.set(run)
        try:
            yield run
        finally:
            _current.reset(token)


def resolve_version(config: Config, progress: Progress, *, restart: bool = False, stage: str = "cache") -> Config:
    """The config that the stages get: under `run.versions` that of one version.

    Args:
        config: of all versions.
        progress: told why a version is begun.
        restart: the version is to be made anew.
        stage: the first that is performed. The cache is what begins a version; all after it go on with the newest.

    Raises:
        UserError: data or models are wrong, there is no version to go on with, or a run and versions would be mixed.
    """
    refuse_mixing(config)
    if not config.run.versions:
        return config
    from pipeline.versions import newest_version, open_version

    return open_version(config, progress, restart=restart) if stage == "cache" else newest_version(config)
