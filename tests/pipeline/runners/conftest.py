"""Units that other processes can make, and a run whose teacher may be told to kill the worker that it is in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.config import Config, parse_config

MODELS = """
import contextlib
import os
import pathlib
import signal

import torch


class Teacher(torch.nn.Linear):
    def __init__(self, inputs, classes, order):
        super().__init__(inputs, classes)
        self.order = pathlib.Path(order)

    def forward(self, inputs):
        # Not at the first look that everyone takes at a model, nor in the process that has given the order.
        if len(inputs) > 1:
            with contextlib.suppress(FileNotFoundError):  # there is none, or another worker was first
                if self.order.read_text() != str(os.getpid()):
                    self.order.unlink()
                    os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(inputs)
"""


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Config]:
    """`configure("dask", workers=2)`: a run of 8 shards and one round; its output is named after the runner.

    A file `order` with another process's number kills the worker in which the teacher next sees samples.
    """
    generator = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=generator.normal(size=(64, 4)), y=generator.integers(0, 2, 64))
    (tmp_path / "models.py").write_text(MODELS)

    def build(runner: str, **run: Any) -> Config:
        teacher = {"inputs": 4, "classes": 2, "order": str(tmp_path / "order")}
        values = {
            "run": {"output": runner, "rounds": 1, "device": "cpu", "runner": runner, **run},
            "data": {"kind": "array", "train": "data.npz", "classes": 2, "shard_size": 8},
            "teacher": {"factory": "models.py:Teacher", "kwargs": teacher},
            "student": {"factory": "zoo:mlp", "kwargs": {"hidden": [2]}},
            "mine": {"steps": 2, "start": "noise"},
            "train": {"steps": 6, "batch_size": 4},
        }
        return parse_config(values, root=tmp_path)

    return build


@pytest.fixture
def contents() -> Callable[[str], dict[str, bytes]]:
    """Every file below a directory, by relative path, but config.toml, which names the directory."""

    def read(url: str) -> dict[str, bytes]:
        files = (path for path in Path(url).rglob("*") if path.is_file() and path.name != "config.toml")
        files = (path for path in files if path.parent.name != "times")
        return {str(path.relative_to(url)): path.read_bytes() for path in files}

    return read
