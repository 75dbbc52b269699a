"""Ctrl-C in a terminal reaches every process in front of it. Workers are to be deaf to it: their run ends them.

And an end that is not the user's, but comes in the same way.
"""

from __future__ import annotations

import _thread
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread, main_thread

LOOK = 1.0
"""Seconds between two looks at whether the parent still lives."""

_reason: Exception | None = None


def end_run(reason: Exception) -> None:
    """Interrupt the main thread, as Ctrl-C does, for a reason that whoever it ends is to tell."""
    global _reason
    _reason = reason
    # SIGINT may be ignored, as in the background of a shell script.
    number = signal.SIGTERM if signal.getsignal(signal.SIGINT) == signal.SIG_IGN else signal.SIGINT
    main = main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, number)  # which wakes it from a call that waits
    else:  # Windows
        _thread.interrupt_main(number)


def end_reason() -> Exception | None:
    """Why the run was ended; None where the user did it."""
    return _reason


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
