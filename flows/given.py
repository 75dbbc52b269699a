"""What the flows of one run share. It is no parameter of theirs, as Prefect sends those to its server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.progress import Progress
from schemas.config import Config

if TYPE_CHECKING:
    from pipeline.runners import Runner


@dataclass(frozen=True)
class Given:
    """One run.

    Attributes:
        config: of the run.
        progress: where its stages report.
        runner: makes their shards.
    """

    config: Config
    progress: Progress
    runner: Runner


_given: ContextVar[Given | None] = ContextVar("given", default=None)


def given() -> Given | None:
    """What was handed over; None where a worker runs a deployment."""
    return _given.get()


@contextmanager
def hand_over(config: Config, progress: Progress) -> Iterator[Given]:
    """Let the flows that are called within work on this run, with one runner for all of them.

    Raises:
        UserError: the config names a runner that cannot be had.
    """
    from pipeline.runners import make_runner

    with make_runner(config) as runner:
        token = _given.set(Given(config, progress, runner))
        try:
            yield Given(config, progress, runner)
        finally:
            _given.reset(token)


def settled(config: Config, progress: Progress) -> Config:
    """The config that the stages get: under `run.versions` that of the version which is to be made."""
    if not config.run.versions:
        return config
    from pipeline.versions import open_version

    return open_version(config, progress).config
