"""Ctrl-C and SIGTERM: the work ends in seconds, whatever it is doing."""

from __future__ import annotations

import _thread
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import NoReturn

import psutil

AGAIN = 0.8
"""Seconds to the second interrupt: Python drops what is raised while it frees an object."""
ENOUGH = 1.6
"""Seconds after which the process ends without the main thread."""

REAP = 0.3
"""Seconds that killed children have to go."""


@contextmanager
def signals_as_interrupt(leave: Callable[[], NoReturn] | None) -> Iterator[Event]:
    """Let SIGTERM, which schedulers send, end the work as Ctrl-C does.

    Args:
        leave: ends the process when the main thread does not; nothing does where it is None.

    Yields:
        An event that tells that one of the two came.
    """
    interrupted = Event()

    def interrupt(*_: object) -> NoReturn:
        if not interrupted.is_set():
            interrupted.set()
            if leave is not None:
                Thread(target=_insist, args=[leave], daemon=True).start()
        raise KeyboardInterrupt

    # What is ignored, as SIGINT is in the background of a shell script, stays so.
    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _insist(leave: Callable[[], NoReturn]) -> None:
    time.sleep(AGAIN)
    _thread.interrupt_main()
    time.sleep(ENOUGH - AGAIN)
    leave()


def end_children() -> None:
    """End every process that this one has started, such as Prefect's server: asked politely, it takes its time."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(children, timeout=REAP)
