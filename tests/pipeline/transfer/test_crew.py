from __future__ import annotations

import os
import signal
import threading

import pytest

from pipeline.transfer import crew
from pipeline.transfer.crew import Stop, Stopped, at_once


def test_results_are_in_the_order_of_the_calls():
    first_may_end = threading.Event()

    def first() -> str:
        first_may_end.wait()
        return "first"

    def second() -> str:
        first_may_end.set()
        return "second"

    assert at_once(2, [first, second], Stop()) == ["first", "second"]
    assert at_once(2, [], Stop()) == []


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_calls_than_jobs_at_a_time(jobs):
    running, most, lock = 0, 0, threading.Lock()

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1

    at_once(jobs, [call] * 9, Stop())
    assert most == jobs


def test_an_error_stops_the_others():
    stop, stopped, waiting = Stop(), threading.Event(), threading.Event()

    def wait() -> None:
        waiting.set()
        try:
            while True:
                stop.check()
        except Stopped:
            stopped.set()
            raise

    def fail() -> None:
        waiting.wait()
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        at_once(2, [wait, fail, lambda: pytest.fail("was begun")], stop)
    assert stopped.wait(10)


def test_the_user_does_not_wait_for_a_call_that_hangs(monkeypatch):
    monkeypatch.setattr(crew, "GRACE", 0.01)
    never, began = threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        never.wait()

    def interrupt() -> None:
        began.wait()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        at_once(1, [hang], Stop())
    never.set()
