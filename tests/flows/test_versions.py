"""A run under run.versions, as a schedule calls it night after night."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from flows.run import run
from pipeline.progress import Silent
from pipeline.storage import Folder
from schemas.config import parse_config


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def add(folder: Path, name: str) -> None:
    generator = np.random.default_rng(ord(name))
    np.savez(folder / f"{name}.npz", x=generator.normal(size=(6, 3)), y=np.array([0, 1] * 3))


def test_night_after_night(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    values = {
        "run": {"output": "all", "rounds": 1, "device": "cpu", "versions": True},
        "data": {"kind": "array", "train": "source", "classes": 2},
        "teacher": {"factory": "zoo:mlp", "kwargs": {"hidden": [4]}},
        "student": {"factory": "zoo:mlp", "kwargs": {"hidden": [2]}},
        "train": {"steps": 2, "batch_size": 4},
    }
    config = parse_config(values, root=tmp_path)

    def night() -> tuple[str, list[str]]:
        heard = Heard()
        outcome = run(config, direct=True, progress=heard)
        return Path(outcome.url).name, heard.lines

    add(source, "a")
    assert night() == ("v001", [])
    assert night() == ("v001", ["up to date: nothing to do"])
    add(source, "b")
    url = f"{config.output}/v001"
    assert night() == (
        "v002",
        [
            "version v002: 1 new file in the source since v001",
            f"cache: 1 of 2 shards taken over from {url}",
            f"round 1 train: taken over from {url}",
            f"round 1 mine: 1 of 2 shards taken over from {url}",
        ],
    )
    assert night() == ("v002", ["up to date: nothing to do"])
    assert json.loads(Folder(config.output).read("latest.json"))["version"] == "v002"
