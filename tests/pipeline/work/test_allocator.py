"""Freed memory stays with the process while it is needed again, and goes back at the end."""

from __future__ import annotations

import resource
import sys

import psutil
import pytest
import torch

from pipeline.work.allocator import memory_kept

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
SIZE = 24 * 2**20


def faults() -> int:
    """Pages that the system had to give to this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def work() -> None:
    for _ in range(10):
        torch.ones(SIZE // 4)


def test_the_next_batch_takes_the_memory_of_the_last() -> None:
    with memory_kept():
        work()
        before = faults()
        work()
        assert faults() - before < SIZE / 4096  # once would be all of it, ten times is what it was


def test_what_was_kept_goes_back() -> None:
    with memory_kept():
        held = [torch.ones(SIZE // 4) for _ in range(10)]
        del held
        kept = psutil.Process().memory_info().rss
    assert kept - psutil.Process().memory_info().rss > 5 * SIZE
