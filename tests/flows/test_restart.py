"""`--restart` throws away what a run left, but not before the config has proved to be sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flows.run import run
from pipeline import layout
from pipeline.storage import Folder
from schemas.config import Config, parse_config
from schemas.errors import UserError


def small(folder: Path, **changes: dict[str, object]) -> Config:
    generator = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=generator.normal(size=(12, 4)), y=generator.integers(0, 2, 12))
    values: dict[str, dict[str, object]] = {
        "run": {"output": "out", "rounds": 2, "device": "cpu"},
        "data": {"kind": "array", "train": "data.npz", "classes": 2},
        "teacher": {"factory": "zoo:mlp", "kwargs": {"hidden": [8]}},
        "student": {"factory": "zoo:mlp", "kwargs": {"hidden": [2]}},
        "train": {"steps": 6, "batch_size": 4},
    }
    return parse_config({name: {**section, **changes.get(name, {})} for name, section in values.items()}, root=folder)


def test_all_rounds_are_made_anew_and_those_no_longer_wanted_go(tmp_path: Path) -> None:
    run(small(tmp_path), direct=True)
    fewer = small(tmp_path, run={"rounds": 1, "output": "out", "device": "cpu", "seed": 4})
    with pytest.raises(UserError, match="--restart"):
        run(fewer, direct=True)
    outcome = run(fewer, direct=True, restart=True)
    assert [manifest.artifact for _, manifest in outcome.artifacts] == [
        "teacher-logits",
        "auxiliary",
        "dataset",
        "student",
    ]
    assert Folder(fewer.output).folders() == ["dataset", "round-01", "student", "teacher-logits", "times"]
    assert not [name for name in Folder(fewer.output).find() if "round-02" in name]


def test_a_mistake_in_the_config_costs_nothing(tmp_path: Path) -> None:
    config = small(tmp_path)
    run(config, direct=True)
    with pytest.raises(UserError, match=r"gone\.npz"):
        run(small(tmp_path, data={"train": "gone.npz"}), direct=True, restart=True)
    assert Folder(layout.student(config.output)).exists("manifest.json")


def test_what_is_no_artifact_is_left_alone(tmp_path: Path) -> None:
    config = small(tmp_path)
    (tmp_path / "out" / "dataset").mkdir(parents=True)
    (tmp_path / "out" / "dataset" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="other files"):
        run(config, direct=True, restart=True)
    assert (tmp_path / "out" / "dataset" / "thesis.txt").read_text() == "mine"
