"""How stages tell what they are doing; the command line draws it, a library user may ignore it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Task(Protocol):
    def advance(self, amount: int = 1, **figures: float) -> None:
        """`amount` more units are done; `figures` are the latest means, for example gap=3.2."""

    def skip(self, amount: int, **figures: float) -> None:
        """`amount` units were done before: they count, but not for the rate."""


class Progress(Protocol):
    def task(self, title: str, total: int, unit: str = "samples") -> AbstractContextManager[Task]:
        """Open a task of `total` units."""

    def say(self, message: str) -> None:
        """One line for the log."""


class _SilentTask:
    def advance(self, amount: int = 1, **figures: float) -> None:
        pass

    def skip(self, amount: int, **figures: float) -> None:
        pass


class Silent:
    """Progress that goes nowhere."""

    def task(self, title: str, total: int, unit: str = "samples") -> AbstractContextManager[Task]:
        return nullcontext(_SilentTask())

    def say(self, message: str) -> None:
        pass
