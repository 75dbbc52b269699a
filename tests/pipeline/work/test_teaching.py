"""A teacher learns images of a few classes from their labels, and its weights load again."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pipeline.work.teaching import measure_teacher, train_teacher
from schemas.config import Config, parse_config
from schemas.errors import UserError

SHAPES = np.kron(np.eye(3, dtype=bool).reshape(3, 3, 1), np.ones((1, 2, 6), bool)).reshape(3, 6, 6)
"""Three classes: a bright bar at the top, in the middle or at the bottom of 6x6 pixels."""


def write_images(folder: Path, per_class: int, seed: int, labelled: bool = True) -> None:
    draw = np.random.default_rng(seed)
    for label, shape in enumerate(SHAPES):
        for number in range(per_class):
            pixels = np.where(shape, 200, 40) + draw.integers(-30, 30, shape.shape)
            sink = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(sink, "PNG")
            path = folder / (f"{label}/{number}.png" if labelled else f"{label}-{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sink.getvalue())


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    """config(teacher={...}, data={...}): images, and a teacher still to be trained."""
    write_images(tmp_path / "train", 20, seed=0)
    write_images(tmp_path / "test", 10, seed=1)

    def build(**changes: dict[str, Any]) -> Config:
        values: dict[str, dict[str, Any]] = {
            "run": {"output": "run", "device": "cpu"},
            "data": {"train": "train", "eval": "test"},
            "teacher": {"factory": "zoo:mlp", "kwargs": {"hidden": [16]}, "weights": "models/teacher.safetensors"},
            "student": {"factory": "zoo:mlp"},
        }
        return parse_config({name: {**values[name], **changes.get(name, {})} for name in values}, root=tmp_path)

    return build


def test_it_learns_and_its_weights_load_again(config: Callable[..., Config], tmp_path: Path) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    taught = train_teacher(config(), epochs=30, batch_size=16)
    assert taught.accuracy > 0.9
    assert torch.equal(torch.get_rng_state(), before)
    weights = load_file(tmp_path / "models" / "teacher.safetensors")
    assert taught.weights == sum(tensor.numel() for tensor in weights.values())
    assert measure_teacher(config()) == taught


def test_the_seed_decides_the_weights(config: Callable[..., Config], tmp_path: Path) -> None:
    def trained(seed: int) -> bytes:
        train_teacher(config(run={"seed": seed, "output": "run", "device": "cpu"}), epochs=1)
        return (tmp_path / "models" / "teacher.safetensors").read_bytes()

    assert trained(0) == trained(0) != trained(1)


def test_limit_and_labels_are_for_the_student_alone(config: Callable[..., Config]) -> None:
    """The student of this config sees three images and no label."""
    assert train_teacher(config(data={"limit": 3, "labels": False}), epochs=30, batch_size=16).accuracy > 0.9


def test_images_without_labels_are_not_counted(config: Callable[..., Config], tmp_path: Path) -> None:
    rows = ["path,label"]
    for label in range(3):
        rows += [f"test/{label}/{number}.png,{label if number < 5 else ''}" for number in range(10)]
    (tmp_path / "half.csv").write_text("\n".join(rows) + "\n")
    train_teacher(config(), epochs=30, batch_size=16)
    assert measure_teacher(config(data={"eval": "half.csv", "classes": 3})).accuracy > 0.9


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("teacher", {"weights": None}, "set teacher.weights"),
        ("data", {"eval": None}, "data.eval"),
        ("data", {"train": "flat", "classes": 3}, "data.train must have labels"),
        ("data", {"train": "flat"}, "data.classes"),
        ("data", {"eval": "flat", "classes": 3}, "data.eval must have labels"),
    ],
)
def test_what_is_missing_is_named(
    config: Callable[..., Config], tmp_path: Path, section: str, changes: dict[str, Any], message: str
) -> None:
    write_images(tmp_path / "flat", 2, seed=0, labelled=False)
    with pytest.raises(UserError, match=message):
        train_teacher(config(**{section: changes}), epochs=1)
