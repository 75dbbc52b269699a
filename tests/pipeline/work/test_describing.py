"""What windows report for the card, and what becomes of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.shards.rows import RowFormat, Rows
from pipeline.stages import cache, export, mine
from pipeline.work.describing import counted
from schemas.config import parse_config


def test_many_classes_are_not_counted_one_by_one() -> None:
    for width, is_counted in ((256, True), (257, False)):
        form = RowFormat("array", "fp32", width, (1,), "classification")
        rows = Rows(["a"], np.zeros((1, 1), np.float32), np.array([0]), torch.eye(width)[:1], np.array([True]))
        assert bool(counted(form.encode(rows), form)) == is_counted


@pytest.mark.parametrize("window", [2**26, 2**12])
def test_windows_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    """However many there are, the card counts the same."""
    monkeypatch.setattr(sys.modules["pipeline.stages.export"], "WINDOW_BYTES", window)
    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(40) % 2)
    net = {"factory": "zoo:mlp", "kwargs": {"hidden": [4]}}
    values: dict[str, Any] = {
        "run": {"output": "run", "rounds": 1, "device": "cpu"},
        "data": {"kind": "array", "train": "data.npz", "classes": ["cat", "dog"], "shard_size": 8},
        "teacher": net,
        "student": net,
        "mine": {"steps": 1},
        "train": {"steps": 2},
    }
    config = parse_config(values, root=tmp_path)
    cache(config), mine(config)
    shards = [file for file in export(config).files if file.samples]
    assert (len(shards) > 1) == (window == 2**12)
    lines = (tmp_path / "run/dataset/README.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith(("| cat", "| dog"))]
    assert [(name, label) for name, label, *_ in cells] == [("cat", "20"), ("dog", "20")]
    assert [sum(int(row[column]) for row in cells) for column in (2, 3)] == [40, 40]
