"""Finished runs to report on, made once: tiny images with and without rounds, and numbers to predict."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.stages import cache, evaluate, export, mine, train
from schemas.config import Config, parse_config

HOSTILE = ["</script><script>alert(1)</script>", '<img src=x onerror="alert(2)">', "--text {{ 7 * 7 }} 'quoted'"]
"""Names of classes."""


def perform(config: Config) -> str:
    for stage in (cache, mine, export, train, evaluate):
        stage(config)
    return config.output


def write_images(path: Path, count: int, seed: int) -> None:
    """Class k is bright in row k. The names of the classes are the hub's."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(HOSTILE), count)
    pixels = generator.integers(0, 120, (count, 8, 8), np.uint8)
    pixels[np.arange(count), labels] = 255
    images = []
    for image in pixels:
        sink = io.BytesIO()
        Image.fromarray(image).save(sink, "PNG")
        images.append({"bytes": sink.getvalue(), "path": None})
    type_ = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, type_), "label": pa.array([HOSTILE[label] for label in labels])})
    pq.write_table(table, path)


@pytest.fixture(scope="session")
def image_config(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Config]:
    """A function (**sections) -> config of a run on 40 images in 3 classes with hostile names, 24 held out."""
    root = tmp_path_factory.mktemp("images")
    write_images(root / "train.parquet", 40, seed=0)
    write_images(root / "eval.parquet", 24, seed=1)
    model = {"factory": "zoo:cnn", "kwargs": {"classes": 3, "width": 4, "depth": 1}}
    values: dict[str, dict[str, Any]] = {
        "run": {"name": "tiny </title>", "output": "run", "rounds": 2, "device": "cpu"},
        "data": {"train": "train.parquet", "eval": "eval.parquet", "shard_size": 16},
        "teacher": {**model, "kwargs": {**model["kwargs"], "width": 8}},
        "student": model,
        "mine": {"steps": 3, "step_size": 0.3, "batch_size": 8},
        "train": {"steps": 12, "batch_size": 8, "lr": 0.01},
    }

    def build(**sections: dict[str, Any]) -> Config:
        merged = {name: {**values.get(name, {}), **sections.get(name, {})} for name in {**values, **sections}}
        return parse_config(merged, root=root)

    return build


@pytest.fixture(scope="session")
def _made(image_config: Callable[..., Config]) -> tuple[str, str]:
    own = perform(image_config())
    return own, perform(image_config(run={"output": "plain", "rounds": 0}))


@pytest.fixture
def run(_made: tuple[str, str], tmp_path: Path) -> Path:
    """A copy of the finished run of `image_config()`."""
    return Path(shutil.copytree(_made[0], tmp_path / "run"))


@pytest.fixture
def plain(_made: tuple[str, str], tmp_path: Path) -> Path:
    """The same without rounds."""
    return Path(shutil.copytree(_made[1], tmp_path / "plain"))


@pytest.fixture(scope="session")
def number_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished run on vectors of 3 numbers and 2 targets, of which one is unknown."""
    root = tmp_path_factory.mktemp("numbers")
    for split, count in (("train", 30), ("eval", 20)):
        random = np.random.default_rng(count)
        x = random.normal(size=(count, 3)).astype(np.float32)
        y = np.stack([x.sum(axis=1), x[:, 0]], axis=1)
        y[0] = np.nan
        np.savez(root / f"{split}.npz", x=x, y=y)
    model = {"factory": "zoo:mlp", "kwargs": {"hidden": [4]}}
    config = parse_config(
        {
            "run": {"output": "run", "rounds": 1, "device": "cpu"},
            "data": {"kind": "array", "task": "regression", "train": "train.npz", "eval": "eval.npz"},
            "teacher": model,
            "student": model,
            "mine": {"steps": 2, "step_size": 0.3},
            "train": {"steps": 6, "batch_size": 8, "alpha": 1.0},
        },
        root=root,
    )
    return perform(config)
