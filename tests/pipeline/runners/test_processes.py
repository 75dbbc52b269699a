"""A pool of processes: what a worker raises, what kills all of its workers, and a run that is killed itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch

from pipeline.artifacts.artifact import Artifact
from pipeline.artifacts.units import File, Made
from pipeline.runners import Job
from pipeline.runners.processes import ProcessesRunner
from schemas.errors import BpkdError, TransientError, UserError


class Odd(Exception):
    """Cannot be pickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@dataclass(frozen=True)
class Opener:
    how: str

    def open(self, device: torch.device) -> Callable[[int], Made]:
        return self.make

    def make(self, index: int) -> Made:
        if self.how == "wrong":
            raise UserError("the labels are wrong")
        if self.how == "odd":
            raise Odd(1, index)
        if self.how == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "sleeps":
            time.sleep(600)
        return Made([File(f"a{index}", b"")])


def never(index: int) -> Made:
    raise AssertionError("made in the process of the run")


@pytest.mark.slow
def test_what_workers_raise_and_what_kills_them(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.runners.processes.ATTEMPTS", 2)
    said = {
        "wrong": (UserError, "the labels are wrong"),
        "odd": (RuntimeError, r"Odd: 1 and [78]"),
        "kills": (BpkdError, "x: workers were killed 2 times, each time with shards 7-8 under way"),
    }
    with ProcessesRunner(1, "cpu") as runner, Artifact(f"{tmp_path}/a", "thing", {}) as artifact:
        assert runner.starting == "1 process"
        for how, (kind, message) in said.items():
            job = Job("x", never, Opener(how), artifact.target())
            with pytest.raises(kind, match=message) as raised:
                list(runner.run(job, [7, 8]))
            assert not isinstance(raised.value, TransientError), "it would be tried again"
        assert runner.starting == ""
        job = Job("x", never, Opener("works"), artifact.target())
        assert sorted(index for index, _ in runner.run(job, range(5))) == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_workers_end_with_a_run_that_is_killed(tmp_path):
    script = f"""
from tests.pipeline.runners.test_processes import Artifact, Job, Opener, ProcessesRunner, never
if __name__ == "__main__":
    with ProcessesRunner(1, "cpu") as runner, Artifact({str(tmp_path / "a")!r}, "thing", {{}}) as artifact:
        future = runner.submit(Job("x", never, Opener("sleeps"), artifact.target()), 0)
        print("working", flush=True)
        future.result()
"""
    path = tmp_path / "script.py"
    path.write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    run = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=environment)
    assert run.stdout is not None
    assert run.stdout.readline() == "working\n"
    workers = psutil.Process(run.pid).children(recursive=True)
    assert workers
    run.kill()
    run.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
