"""What is started is deaf to Ctrl-C where it should be."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from pipeline.interrupts import interrupts_blocked


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="there are no signal masks here")
def test_what_starts_while_interrupts_are_blocked_does_not_hear_them() -> None:
    with interrupts_blocked():
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    child.send_signal(signal.SIGINT)
    child.communicate(b"\n")
    assert child.returncode == 0
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
