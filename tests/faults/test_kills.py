"""A stage killed with SIGKILL at any moment and started again ends in the bytes of an uninterrupted run.

Each case starts the stage as a process, kills it at a random moment after it has begun to write, lets it run again to
its end, and compares every file. `make faults` does 48 kills; the ordinary tests do one for each stage.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

STAGES = ("cache", "mine", "export", "train")
KILLS = int(os.environ.get("BPKD_KILLS", len(STAGES)))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("number", range(KILLS // len(STAGES)))
@pytest.mark.parametrize("stage", STAGES)
def test_killed_and_started_again(laboratory, stage: str, number: int) -> None:
    run, generator = laboratory.folder / f"killed-{stage}-{number}", random.Random(f"{stage} {number}")
    while not killed_while_at_work(laboratory, stage, run, generator.uniform(0, laboratory.seconds[stage])):
        shutil.rmtree(run)  # it was done already
    laboratory.finish(laboratory.start(stage, run.name))
    assert laboratory.artifacts(run) == laboratory.artifacts(laboratory.after(stage))
    shutil.rmtree(run)


def killed_while_at_work(laboratory, stage: str, run: Path, seconds: float) -> bool:
    """Start a stage, and kill it so many seconds after its first file; False where it had ended by then."""
    laboratory.prepare(stage, run.name)
    process = laboratory.start(stage, run.name)
    laboratory.wait_for_a_file(process, run)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL
