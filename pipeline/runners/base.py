"""What a runner is: it makes units of work on its workers, each as a whole, in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from threading import Lock
from typing import Literal, Protocol, Self, runtime_checkable

import torch

from pipeline.artifacts.units import Made, Target
from schemas.config import Config
from schemas.errors import TransientError, UserError
from schemas.manifest import ShardReport
from schemas.registry import RUNNERS
from schemas.sections import in_bytes

Workers = int | Literal["all"]

LISTEN = 0.5
"""Seconds between two looks at whether an interrupt came."""


Commit = Callable[[int, ShardReport], ShardReport]
"""Notes that a unit is done, and returns what was noted."""


def unchanged(index: int, report: ShardReport) -> ShardReport:
    return report


class Opener(Protocol):
    """What a worker needs to make the units of one artifact: small, can be pickled and compared."""

    def open(self, device: torch.device) -> Callable[[int], Made]:
        """Load models and whatever else it takes, once per worker; returns what makes unit i.

        Raises:
            UserError: the worker does not find what the run is made from, or finds something else.
        """


@runtime_checkable
class Successor(Protocol):
    """An opener that can go on with what another one has opened."""

    def take_over(self, make: Callable[[int], Made]) -> Callable[[int], Made] | None:
        """What makes unit i, from what another opener's `open` returned on the same device; None where that is no use.

        Raises:
            UserError: as `open`.
        """


@dataclass(frozen=True)
class Job:
    """The units of one artifact.

    Attributes:
        name: of the work, for people: "cache", "round 2 mine".
        make: makes unit i in this process, with what is loaded already; called from several threads.
        opener: gives another process a `make` of its own.
        target: takes the files.
    """

    name: str
    make: Callable[[int], Made]
    opener: Opener
    target: Target


class Runner(ABC):
    """Workers that make units. They start with the first one, and keep what they have loaded until `close`.

    A new runner is a class in a file of this folder and a line in `schemas.registry.RUNNERS`. Its constructor is called
    with `run.runner_options`, and with those of `workers` (a number, or "all") and `device` (as in the config) that it
    takes; it checks them and starts nothing.
    """

    elsewhere = True
    """Whether its workers have models of their own."""

    def __init__(self) -> None:
        self._workers = 0
        self._starting = Lock()

    @property
    def workers(self) -> int:
        """How many units are made at the same time."""
        with self._starting:
            if not self._workers:
                try:
                    self._workers = self._start()
                except BaseException:
                    self._stop()  # what has started by then
                    raise
        return self._workers

    @property
    def starting(self) -> str:
        """What the next unit has to wait for, for people, such as "2 processes"; "" where all runs already."""
        return "" if self._workers else self._described()

    @property
    def ahead(self) -> int:
        """How many units are handed out at the same time, so that no worker waits for its next one; at least 1."""
        return 2 * self.workers

    def submit(self, job: Job, index: int) -> Future[ShardReport]:
        """Have unit `index` made and its files written.

        Its future raises:
            UserError: the user's input is wrong.
            BpkdError: workers were killed with it, again and again.
            TransientError: the cluster was lost, or a store does not answer.
        """
        assert self.workers
        return self._submit(job, index)

    def run(self, job: Job, todo: Sequence[int], commit: Commit = unchanged) -> Generator[tuple[int, ShardReport]]:
        """Have the units made whose numbers are in `todo`, of which at most `ahead` are handed out at once.

        Args:
            job: makes them.
            todo: their numbers.
            commit: takes the number and the report of a unit whose files are written. One is committed at a time,
                perhaps in another thread.

        Yields:
            (number, what `commit` returned) of every unit, as they get done.
        """
        with closing(self._handed_out(job, todo)) as made:
            for index, report in made:
                yield index, commit(index, report)

    def _handed_out(self, job: Job, todo: Sequence[int]) -> Generator[tuple[int, ShardReport]]:
        """(number, what was made) of every unit, as they get done."""
        waiting, running = iter(todo), dict[Future[ShardReport], int]()

        def hand_out() -> None:
            # Asked anew each time, as workers of a cluster come and go.
            for index in islice(waiting, max(self.ahead - len(running), 0)):
                running[self.submit(job, index)] = index

        try:
            hand_out()
            while running:
                # With a limit: an interrupt that another thread gets does not wake the one that waits.
                for future in wait(running, LISTEN, FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
                    hand_out()
                hand_out()
        except TransientError:
            self.close()  # it may be the cluster that is lost: whoever tries again starts anew
            raise
        finally:
            # Whoever stops, by Ctrl-C or a mistake, does not wait for units that nobody will commit.
            for future in running:
                future.cancel()

    def close(self) -> None:
        """Let the workers go, without waiting for what they are at."""
        with self._starting:
            if self._workers:
                self._workers = 0
                self._stop()

    def _described(self) -> str:
        """Its workers, for people; "" where they start at once."""
        return ""

    @abstractmethod
    def _start(self) -> int:
        """Start the workers; how many there are, at least 1."""

    @abstractmethod
    def _submit(self, job: Job, index: int) -> Future[ShardReport]: ...

    @abstractmethod
    def _stop(self) -> None:
        """End what `_start` has started, all of it or what there was when it failed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_runner(config: Config) -> Runner:
    """The runner that `[run]` names; nothing is started yet.

    Raises:
        UserError: an option is not taken or wrong, or its extra is not installed.
    """
    run = config.run
    runner: Runner = RUNNERS.build(run.runner, run.runner_options, workers=run.workers, device=run.device)
    return runner


def using(runner: Runner | None, config: Config) -> AbstractContextManager[Runner]:
    """A runner for one stage: the given one, which stays, or the config's, which goes at the end."""
    return make_runner(config) if runner is None else nullcontext(runner)


def option_bytes(memory: object) -> int:
    """What `run.runner_options` has for `memory` in bytes; 0 where it is left out."""
    try:
        if not isinstance(memory, str):
            raise ValueError("takes a size with its unit, such as 8GB or 512MiB")
        return int(in_bytes(memory)) if memory else 0
    except ValueError as error:
        raise UserError(f"run.runner_options: memory = {memory!r}: {error}") from None


def option_address(address: object) -> str:
    """What `run.runner_options` has for `address`; "" where it is left out."""
    if not isinstance(address, str):
        raise UserError(f"run.runner_options: address = {address!r}: takes a text")
    return address


def require_extra(package: str, extra: str) -> None:
    """Refuse a runner whose package is not installed."""
    if find_spec(package) is None:
        raise UserError(f'run.runner = "{extra}" needs {package}; install bpkd[{extra}]')
