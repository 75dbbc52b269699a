"""`run.precision = "auto"` is decided once for a run."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.progress import Silent
from pipeline.stages import cache, evaluate, export, mine, train
from schemas.config import Config, parse_config

HOW = "precision: {}, as in a short trial bf16 is {} times as fast as fp32"


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        if message.startswith("precision"):
            self.lines.append(message)


def config_of(root: Path, output: str = "run", **run: object) -> Config:
    generator = np.random.default_rng(0)
    np.savez(root / "data.npz", x=generator.normal(size=(12, 4)), y=np.array([0, 1] * 6))
    return parse_config(
        {
            "run": {"output": output, "rounds": 1, "device": "cpu", "precision": "auto", **run},
            "data": {"kind": "array", "train": "data.npz", "eval": "data.npz", "classes": 2},
            "teacher": {"factory": "zoo:mlp", "kwargs": {"hidden": [8]}},
            "student": {"factory": "zoo:mlp", "kwargs": {"hidden": [2]}},
            "mine": {"steps": 1},
            "train": {"steps": 2, "batch_size": 4},
        },
        root=root,
    )


@pytest.mark.parametrize(("speed", "taken"), [(2.0, "bf16"), (1.1, "fp32")])
def test_a_trial_decides_for_all_of_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, speed: float, taken: str
) -> None:
    heard, config = Heard(), config_of(tmp_path)
    monkeypatch.setattr(sys.modules["pipeline.stages.cache"], "bf16_speed", lambda *_: speed)
    assert cache(config, progress=heard).fingerprint["precision"] == taken
    assert heard.lines == [HOW.format(taken, speed)]
    # Nobody asks again.
    monkeypatch.setattr(sys.modules["pipeline.stages.cache"], "bf16_speed", lambda *_: 3.1 - speed)
    assert cache(config, progress=heard).fingerprint["precision"] == taken
    (mined,) = mine(config, progress=heard)
    assert mined.fingerprint["precision"] == taken
    export(config)
    train(config)
    evaluate(config, progress=heard)
    other = config_of(tmp_path, "other", base="run")
    assert cache(other, progress=heard).fingerprint["precision"] == taken
    assert len(heard.lines) == 1
    again = cache(config, restart=True, progress=heard).fingerprint["precision"]
    assert again != taken


def test_the_trial_is_a_real_one(tmp_path: Path) -> None:
    heard = Heard()
    assert cache(config_of(tmp_path), progress=heard).fingerprint["precision"] in ("fp32", "bf16")
    assert len(heard.lines) == 1
