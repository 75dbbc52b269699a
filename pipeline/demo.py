"""The demo: real handwriting, a teacher trained before one's eyes, and four ways to teach a small student."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from safetensors.torch import load

from pipeline import layout
from pipeline.progress import Progress
from pipeline.record import record_config
from pipeline.shards.rows import IMAGE_TYPE
from pipeline.stages import cache, evaluate, export, mine, train
from pipeline.storage import Folder
from pipeline.work.teaching import Taught, train_teacher
from schemas.config import Config, parse_config
from schemas.errors import UserError

SEEN = 100
"""Images that the student may see."""

TEACHER = {"factory": "zoo:cnn", "kwargs": {"width": 32, "depth": 4}, "weights": "teacher.safetensors"}
STUDENT = {"factory": "zoo:cnn", "kwargs": {"width": 8, "depth": 3}}
STEPS = 1500
"""Optimiser steps that every method gets."""

EPOCHS = 25
"""Passes of the teacher over its training images."""

METHODS: dict[str, dict[str, dict[str, Any]]] = {
    "label-only": {"run": {"rounds": 0}, "train": {"alpha": 0.0}},
    "plain KD": {"run": {"rounds": 0}},
    "KD + noise": {"run": {"rounds": 9}, "mine": {"steps": 0, "start": "noise", "start_options": {"std": 0.2}}},
    "bpkd": {"run": {"rounds": 9}, "mine": {"steps": 10, "step_size": 0.2}},
}
"""What each method changes in the config; all have the same number of optimiser steps."""


@dataclass(frozen=True)
class Outcome:
    """One row of the table.

    Attributes:
        weights: number of the student's weights.
        accuracy, agreement: fractions of the held-out images.
        stored: samples of the data set.
        seconds: of all stages but the evaluation.
        url: directory of the run.
    """

    method: str
    weights: int
    accuracy: float
    agreement: float
    stored: int
    seconds: float
    url: str


def prepare(folder: Path, progress: Progress, seed: int = 0) -> Taught:
    """Write the data and a trained teacher into `folder`.

    Raises:
        UserError: scikit-learn is not installed.
    """
    _write_digits(folder)
    return train_teacher(_config(folder, "plain KD", seed), epochs=EPOCHS, batch_size=64, lr=3e-3, progress=progress)


def compare(folder: Path, progress: Progress, seed: int = 0) -> Iterator[Outcome]:
    """Run every method from end to end and yield its outcome."""
    for method in METHODS:
        config = _config(folder, method, seed)
        progress.say(method)
        begin = time.perf_counter()
        cache(config, progress=progress)
        mine(config, progress=progress)
        stored = export(config, progress=progress).samples
        train(config, progress=progress)
        record_config(config)
        seconds = time.perf_counter() - begin
        figures = evaluate(config, progress=progress)
        yield Outcome(
            method, _weights(config), figures["accuracy"], figures["agreement"], stored, seconds, config.output
        )


def _config(folder: Path, method: str, seed: int) -> Config:
    values: dict[str, dict[str, Any]] = {
        "run": {"name": method, "output": method.replace(" + ", "-").replace(" ", "-").lower(), "seed": seed},
        "data": {"train": "digits-train.parquet", "eval": "digits-test.parquet", "limit": SEEN, "classes": 10},
        "teacher": TEACHER,
        "student": STUDENT,
        "mine": {},
        "train": {"steps": STEPS, "batch_size": 64, "lr": 5e-3, "alpha": 1.0},
    }
    for section, changes in METHODS[method].items():
        values[section] = {**values[section], **changes}
    return parse_config(values, root=folder, origin="demo")


def _weights(config: Config) -> int:
    return sum(
        tensor.numel() for tensor in load(Folder(layout.student(config.output)).read("model.safetensors")).values()
    )


def _write_digits(folder: Path) -> None:
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise UserError("the demo reads its images from scikit-learn; pip install 'bpkd[demo]'") from None
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    parts = train_test_split(images, digits.target, test_size=0.25, random_state=0, stratify=digits.target)
    for name, pixels, labels in (("train", parts[0], parts[2]), ("test", parts[1], parts[3])):
        encoded = pa.array([{"bytes": _png(image), "path": None} for image in pixels], IMAGE_TYPE)
        sink = io.BytesIO()
        pq.write_table(pa.table({"image": encoded, "label": pa.array(labels, pa.int64())}), sink)
        Folder(str(folder)).write(f"digits-{name}.parquet", sink.getvalue())


def _png(image: np.ndarray[Any, Any]) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, "PNG")
    return sink.getvalue()
