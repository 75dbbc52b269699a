"""Ctrl-C in a terminal reaches every process in front of it. Workers are to be deaf to it: their run ends them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

LOOK = 1.0
"""Seconds between two looks at whether the parent still lives."""


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread; a process that it starts meanwhile keeps it blocked."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with(parent: int) -> None:
    """End this process soon after its parent has gone, however that went."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    Thread(target=watch, name="bpkd-watch", daemon=True).start()
