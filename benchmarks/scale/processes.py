"""Measurements in processes of their own: memory, and how fast cores are side by side."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from pipeline.kinds.image import to_png
from pipeline.models.cnn import cnn

T = TypeVar("T")


def in_new_process(function: Callable[..., T], *arguments: Any) -> T:
    """What a function of a module gives in a process that has done nothing else."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_bytes() -> int:
    """The most memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():  # elsewhere what the system says of a process begins with what its parent had
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def loaded_speed(seconds: float) -> float:
    """Speed of a core when all are busy with what workers do; that of one which is busy alone is 1."""
    cores = os.cpu_count() or 1
    if cores == 1:
        return 1.0
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        list(pool.map(_work, [0.1] * cores * 2))  # all have started
        alone = pool.submit(_work, seconds).result()
        together = list(pool.map(_work, [seconds] * cores))
    return sum(together) / cores / alone


def _work(seconds: float) -> float:
    """Rounds per second of a worker's kinds of work: convolutions, gradients, PNG."""
    torch.set_num_threads(1)
    model, images = cnn(classes=10, channels=1, width=8, depth=2), torch.rand(128, 1, 28, 28)
    rounds, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        inputs = images.clone().requires_grad_()
        model(inputs).square().sum().backward()
        for image in (inputs.detach() * 255).byte().numpy()[:64]:
            to_png(np.ascontiguousarray(image))
        rounds += 1
    return rounds / (time.perf_counter() - began)
