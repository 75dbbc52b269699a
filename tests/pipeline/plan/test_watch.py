"""What stages take while they run."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from pipeline.plan.watch import Peak, Watch


def test_tasks_are_kept_with_what_was_done_by_when() -> None:
    watch = Watch()
    with watch.task("cache", 10) as task:
        task.advance(4)
        task.skip(3)
        task.advance(6)
    [track] = watch.tracks
    assert track.title == "cache" and [done for _, done in track.marks] == [4, 10]
    assert 0 <= track.marks[0][0] <= track.marks[1][0] <= track.seconds


def test_the_peak_is_what_was_held_at_some_time_and_not_before() -> None:
    before = np.ones(2**24)  # 128 MiB
    del before
    with Peak() as low:
        time.sleep(0.1)
    with Peak() as high:
        held = np.ones(2**24)
        time.sleep(0.2)
        del held
    assert high.bytes - low.bytes > 100 * 2**20


def test_the_peak_is_that_of_the_largest_process() -> None:
    with Peak() as peak:
        code = "import time; held = bytearray(2**30); held[::4096] = b'x' * 2**18; time.sleep(1)"
        subprocess.run([sys.executable, "-c", code], check=True)
    assert peak.bytes > 2**30
