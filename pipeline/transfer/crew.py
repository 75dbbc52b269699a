"""Several calls at once that can be left at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

GRACE = 1.0
"""Seconds that calls have to end by themselves after an interruption."""

LOOK = 0.1
"""Seconds after which the main thread looks for an interruption, which waiting for a queue alone may miss."""

Result = TypeVar("Result")


class Stopped(BaseException):
    """Running calls were told to stop. No exception that those in between take for a failure of their own."""


class Stop:
    """Tells running calls to end."""

    def __init__(self) -> None:
        self._event = Event()

    def set(self) -> None:
        self._event.set()

    def check(self) -> None:
        """Raise `Stopped` if it is set."""
        if self._event.is_set():
            raise Stopped


def at_once(jobs: int, calls: Sequence[Callable[[], Result]], stop: Stop) -> list[Result]:
    """Make all calls, `jobs` at a time.

    The threads are daemons, which those of `concurrent.futures` are not: one that waits for a server does not keep
    the process from ending when the user interrupts it.

    Args:
        jobs: at least 1.
        calls: any number.
        stop: is set when one raises or the user interrupts; the calls look at it.

    Returns:
        What they returned, in their order.

    Raises:
        BaseException: the first that a call raised.
    """
    todo: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[tuple[int, Result | None, BaseException | None]] = SimpleQueue()
    for index in range(len(calls)):
        todo.put(index)

    def work() -> None:
        while True:
            try:
                stop.check()
                index = todo.get_nowait()
            except (Empty, Stopped):
                return
            try:
                done.put((index, calls[index](), None))
            except BaseException as error:
                done.put((index, None, error))
                stop.set()  # after it, so that the error comes before those of calls that stop for it

    threads = [Thread(target=work, daemon=True) for _ in range(min(jobs, len(calls)))]
    for thread in threads:
        thread.start()
    results: dict[int, Result] = {}
    try:
        for _ in calls:
            index, result, error = _next(done)
            if error is not None:
                raise error
            results[index] = result  # type: ignore[assignment]
    finally:
        stop.set()
        limit = time.monotonic() + GRACE
        for thread in threads:
            thread.join(max(0.0, limit - time.monotonic()))
    return [results[index] for index in range(len(calls))]


def _next(done: SimpleQueue[Result]) -> Result:
    while True:
        try:
            return done.get(timeout=LOOK)
        except Empty:
            continue
