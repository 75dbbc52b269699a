"""What a run shows in Prefect: its progress, what it has made, and where that is.

None of it is needed: where Prefect does not take it the run goes on, and its log says so.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from threading import Event, Thread
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.logging.loggers import get_logger

from flows.stages import Outcome
from pipeline import layout
from pipeline.progress import Progress, Task
from schemas.urls import shown

EVERY = 5.0
"""Seconds between two updates of a progress artifact."""
JOIN = 5.0
"""Seconds that the last one may take."""


def log() -> Any:
    """The log of the flow run; that of Prefect outside of one, as in the thread that renews a lock."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("bpkd")


class Logged:
    """Progress as lines in the log of the flow run."""

    @contextmanager
    def task(self, title: str, total: int, unit: str = "samples") -> Iterator[Task]:
        counter, began = _Counter(total), time.monotonic()
        try:
            yield counter
        except BaseException:
            self.say(f"{title}: stopped after {counter.done:,} of {total:,} {unit}")
            raise
        seconds = time.monotonic() - began
        self.say(f"{title}: {counter.done:,} {unit} in {seconds:,.1f} s {counter.shown_figures()}".rstrip())

    def say(self, message: str) -> None:
        log().info("%s", shown(message))


class Recorded:
    """Progress that Prefect shows as artifacts, beside where it goes already.

    Args:
        inner: where it goes.
        name: of the run or deployment, for the keys: what comes later has the same.
        title: of this run, for people.
    """

    def __init__(self, inner: Progress, name: str, title: str) -> None:
        self._inner, self._name, self._title = inner, name, title

    @contextmanager
    def task(self, title: str, total: int, unit: str = "samples") -> Iterator[Task]:
        counter, ended = _Counter(total), Event()
        with self._inner.task(title, total, unit) as task:
            counter.inner = task
            # In a thread of its own, so that no work waits for a server.
            arguments = (counter, ended, _key(self._name, title), f"{self._title} · {title}, {total:,} {unit}")
            thread = Thread(target=copy_context().run, args=[_follow, *arguments], name="bpkd-progress", daemon=True)
            thread.start()
            try:
                yield counter
            finally:
                ended.set()
        thread.join(JOIN)

    def say(self, message: str) -> None:
        self._inner.say(message)


class _Counter:
    """Counts one task.

    Attributes:
        done: units so far.
        inner: told likewise.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._figures: dict[str, float] = {}
        self.done = 0
        self.inner: Task | None = None

    def advance(self, amount: int = 1, **figures: float) -> None:
        self.done += amount
        self._figures.update(figures)
        if self.inner is not None:
            self.inner.advance(amount, **figures)

    def skip(self, amount: int, **figures: float) -> None:
        self.done += amount
        self._figures.update(figures)
        if self.inner is not None:
            self.inner.skip(amount, **figures)

    @property
    def percent(self) -> float:
        return min(100.0, 100.0 * self.done / self._total) if self._total else 100.0

    def shown_figures(self) -> str:
        return " ".join(f"{name}={value:.4g}" for name, value in self._figures.items())


def _follow(counter: _Counter, ended: Event, key: str, description: str) -> None:
    """Keep a progress artifact up to date until the task ends."""

    def follow() -> None:
        recorded = counter.done  # before its share is asked for, as it goes on meanwhile
        artifact = cast(UUID, create_progress_artifact(counter.percent, key=key, description=shown(description)))
        while not ended.wait(EVERY):
            if counter.done != recorded:
                recorded = counter.done
                update_progress_artifact(artifact, counter.percent)
        if counter.done != recorded:
            update_progress_artifact(artifact, counter.percent)

    _try(follow)


def record_outcome(outcome: Outcome, name: str, title: str) -> None:
    """Show in Prefect what a run has made: two tables, and links to data set and student. Names as for `Recorded`."""
    rows = [
        {
            "artifact": manifest.artifact,
            "samples": manifest.samples,
            "failed": manifest.failures,
            "bytes": sum(file.bytes for file in manifest.files),
            "where": shown(url),
        }
        for url, manifest in outcome.artifacts
    ]
    _try(lambda: create_table_artifact(rows, key=_key(name, "artifacts"), description=f"what {title} has made"))
    if outcome.evaluation is not None:
        figures = [{"figure": name, "value": value} for name, value in outcome.evaluation.items()]
        said = f"the student of {title} on held-out data"
        _try(lambda: create_table_artifact(figures, key=_key(name, "evaluation"), description=said))
    for what, url in (("data set", layout.dataset(outcome.url)), ("student", layout.student(outcome.url))):
        _link(url, _key(name, what), f"{what} of {title}")


def _link(url: str, key: str, description: str) -> None:
    link = shown(url) if "://" in url else Path(url).as_uri()
    _try(lambda: create_link_artifact(link, link_text=link, key=key, description=description))


def _try(record: Callable[[], object]) -> None:
    try:
        record()
    except Exception as error:
        log().warning("Prefect does not take an artifact: %s", shown(str(error)))


def _key(*parts: str) -> str:
    """Lowercase letters, numbers and dashes, as Prefect takes it."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-") or "run"
