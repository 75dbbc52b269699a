"""Progress on stderr: a bar on a terminal, one line per finished task anywhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from cli.durations import duration
from pipeline.progress import Progress, Silent
from schemas.urls import shown

BYTES = "bytes"
"""A unit that is shown as kB, MB and so on."""

REDRAW = 0.1
"""Seconds between two looks of a bar, at least."""


def make_progress(*, quiet: bool) -> Progress:
    """Progress for one command; `quiet` shows nothing."""
    return Silent() if quiet else Shown(Console(stderr=True, highlight=False))


class Shown:
    """Draws progress on a console.

    Args:
        console: bars appear only where it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}", markup=False),
            console=console,
            transient=True,
            auto_refresh=False,
            disable=not console.is_terminal,
        )
        self._open = 0

    @contextmanager
    def task(self, title: str, total: int, unit: str = "samples") -> Iterator[Counter]:
        """A bar while the task is open, and a line when it is done or given up."""
        bar = self._bars.add_task(title, total=total, count="", rate="", figures="")
        counter = Counter(self._bars, bar, total, unit)
        self._show(+1)
        try:
            yield counter
        except BaseException:
            self.say(f"{title}: stopped after {counter.count()}")
            raise
        else:
            self.say(f"{title}: {counter.summary()}")
        finally:
            self._bars.remove_task(bar)
            self._show(-1)

    def say(self, message: str) -> None:
        """One line, whole however long it is, above the bars; without the secrets of URLs in it."""
        self._console.print(shown(message), markup=False, soft_wrap=True)

    def _show(self, more: int) -> None:
        self._open += more
        if self._open == 0:
            self._bars.stop()
        elif more > 0 and self._open == 1:
            self._bars.start()


class Counter:
    """Counts one task, and what to say about it. Drawing is rarer than counting, which has to cost next to nothing."""

    def __init__(self, bars: Bars, bar: TaskID, total: int, unit: str) -> None:
        self._bars, self._bar = bars, bar
        self._total, self._unit = total, unit
        self._began = self._drawn = time.monotonic()
        self._figures: dict[str, float] = {}
        self.done = self._before = 0

    def skip(self, amount: int, **figures: float) -> None:
        """`amount` units were done before: they count, but not for the rate."""
        self._before += amount
        self.advance(amount, **figures)

    def advance(self, amount: int = 1, **figures: float) -> None:
        """`amount` more units are done; `figures` are the latest means."""
        self.done += amount
        self._figures.update(figures)
        now = time.monotonic()
        if now - self._drawn >= REDRAW and not self._bars.disable:
            self._drawn = now
            shown = {"count": self.count(), "rate": self._rate(), "figures": self._shown_figures()}
            self._bars.update(self._bar, completed=self.done, refresh=True, **shown)  # type: ignore[arg-type]

    def count(self) -> str:
        """For example `500 of 2,000 samples` or `1.2 GB of 4.0 GB`."""
        if self._unit == BYTES:
            return f"{decimal(self.done)} of {decimal(self._total)}"
        return f"{self.done:,} of {self._total:,} {self._unit}"

    def summary(self) -> str:
        """For example `500 samples in 0.4 s (1,250/s) gap=3.2`, or `500 samples, 400 of them from before, in ...`."""
        done = decimal(self.done) if self._unit == BYTES else f"{self.done:,} {self._unit}"
        if self._before and self._before == self.done:
            return f"{done}, all from before {self._shown_figures()}".rstrip()
        before = f", {self._before:,} of them from before," if self._before else ""
        return f"{done}{before} in {duration(self._seconds())} ({self._rate()}) {self._shown_figures()}".rstrip()

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _rate(self) -> str:
        rate = (self.done - self._before) / max(self._seconds(), 1e-9)
        if self._unit == BYTES:
            return f"{decimal(int(rate))}/s"
        return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"

    def _shown_figures(self) -> str:
        return " ".join(f"{name}={value:.4g}" for name, value in self._figures.items())
