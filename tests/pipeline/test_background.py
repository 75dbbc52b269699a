"""What is begun goes on beside its caller, and ends in a result or an error."""

from __future__ import annotations

import threading

import pytest

from pipeline.background import begin


def test_it_goes_on_in_a_daemon_while_its_caller_does() -> None:
    may = threading.Event()
    threads: list[threading.Thread] = []

    def call() -> str:
        threads.append(threading.current_thread())
        assert may.wait(10)
        return "done"

    future = begin(call, "a-name")
    assert not future.done()
    may.set()
    assert future.result(10) == "done"
    assert [(thread.name, thread.daemon) for thread in threads] == [("a-name", True)]


def test_what_it_raises_is_raised_where_the_result_is_taken() -> None:
    def call() -> None:
        raise SystemExit("three")

    future = begin(call, "a-name")
    with pytest.raises(SystemExit, match="three"):
        future.result(10)
