"""A run small enough for every test: 40 grey 8x8 images, a random teacher, two rounds."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pipeline.models import weights_bytes
from pipeline.models.cnn import cnn
from pipeline.storage import Folder
from schemas.config import Config, parse_config

CLASSES = 3


def png(pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def write_images(path: Path, count: int, seed: int) -> None:
    """Class k is bright in row k."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, count)
    pixels = generator.integers(0, 120, (count, 8, 8), np.uint8)
    pixels[np.arange(count), labels] = 255
    images = [{"bytes": png(image), "path": None} for image in pixels]
    type_ = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(images, type_), "label": pa.array(labels, pa.int64())}), path)


def teacher_weights() -> bytes:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return weights_bytes(cnn(classes=CLASSES, width=8, depth=1))


@pytest.fixture
def values(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The nested mapping of a config, for tests to change."""
    write_images(tmp_path / "train.parquet", 40, seed=0)
    write_images(tmp_path / "eval.parquet", 24, seed=1)
    model = {"factory": "zoo:cnn", "kwargs": {"classes": CLASSES, "width": 4, "depth": 1}}
    (tmp_path / "teacher.safetensors").write_bytes(teacher_weights())
    return {
        "run": {"output": "run", "rounds": 2, "device": "cpu"},
        "data": {"train": "train.parquet", "eval": "eval.parquet", "shard_size": 16, "classes": CLASSES},
        "teacher": {**model, "kwargs": {**model["kwargs"], "width": 8}, "weights": "teacher.safetensors"},
        "student": model,
        "mine": {"steps": 3, "step_size": 0.3, "batch_size": 8},
        "export": {"shard_size": 30},
        "train": {"steps": 12, "batch_size": 8, "lr": 0.01, "checkpoint_every": 3},
    }


@pytest.fixture
def configure(values: dict[str, dict[str, Any]], tmp_path: Path) -> Callable[..., Config]:
    """`configure(mine={"steps": 0})`: the tiny config with some keys changed."""

    def build(**changes: dict[str, Any]) -> Config:
        merged = {name: {**section, **changes.get(name, {})} for name, section in values.items()}
        merged |= {name: section for name, section in changes.items() if name not in values}
        return parse_config(merged, root=tmp_path)

    return build


@pytest.fixture
def files() -> Callable[[str], dict[str, bytes]]:
    """Every file below a directory, by relative path.

    But config.toml, which names the directory, and how long things took.
    """

    def read(root: str) -> dict[str, bytes]:
        base = Path(root)
        found = (path for path in sorted(base.rglob("*")) if path.is_file() and path.name != "config.toml")
        found = (path for path in found if path.parent.name != "times")
        return {str(path.relative_to(base)): path.read_bytes() for path in found}

    return read


class Stop(BaseException):
    """Not an Exception, as a kill or Ctrl-C is none."""


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object], int], bool]:
    """`stopped(call, writes)`: a call that is stopped at the write after so many; whether it came to that."""

    def attempt(call: Callable[[], object], writes: int) -> bool:
        left, write = writes, Folder.write

        def counted(self: Folder, name: str, data: bytes) -> None:
            nonlocal left
            if left == 0:
                raise Stop
            left -= 1
            write(self, name, data)

        with monkeypatch.context() as patch:
            patch.setattr(Folder, "write", counted)
            try:
                call()
            except Stop:
                return True
        return False

    return attempt
