"""Two processes on one artifact: one makes it, the other says so and leaves it alone."""

from __future__ import annotations

import signal

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("faults")]

STAGES = ("cache", "mine", "export", "train")


@pytest.mark.parametrize("stage", STAGES)
def test_the_second_refuses_and_nothing_is_lost_or_made_twice(laboratory, stage: str) -> None:
    run = laboratory.prepare(stage, f"together-{stage}")
    together = [laboratory.start(stage, run.name) for _ in range(2)]
    errors = [process.communicate()[1].decode() for process in together]
    codes = [process.returncode for process in together]
    assert sorted(codes) in ([0, 1], [0, 0]), errors  # both, where one came when the other was done
    for code, error in zip(codes, errors, strict=True):
        assert code == 0 or "is being made by process" in error.splitlines()[-1]
    assert laboratory.artifacts(run) == laboratory.artifacts(laboratory.after(stage))


def test_a_restart_does_not_throw_away_what_another_is_making(laboratory) -> None:
    run, first = laboratory.begin("mine", "restarted")
    first.send_signal(signal.SIGSTOP)  # at work, and as slow as can be
    second = laboratory.start("mine", run.name, "--restart")
    _, error = second.communicate()
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 1, error.decode()
    assert f"is being made by process {first.pid} on" in error.decode()
    laboratory.finish(first)
    assert laboratory.artifacts(run) == laboratory.artifacts(laboratory.after("mine"))


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(laboratory) -> None:
    run, process = laboratory.begin("mine", "interrupted")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error.decode().splitlines()[-1] == "interrupted; run the same command again to resume"
    assert not list(run.rglob("lock.json"))
    laboratory.finish(laboratory.start("mine", run.name))
    assert laboratory.artifacts(run) == laboratory.artifacts(laboratory.after("mine"))
