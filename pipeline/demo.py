"""The demo: real handwriting, a teacher trained before one's eyes, and four ways to teach a small student."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.torch import load

from pipeline import layout
from pipeline.kinds.image import IMAGE_TYPE
from pipeline.progress import Progress
from pipeline.runs import record_config
from pipeline.stages import cache, evaluate, export, mine, train
from pipeline.storage import Folder
from pipeline.timing import timed
from pipeline.version import VERSION
from pipeline.work.teaching import Taught, measure_teacher, train_teacher
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


MARKER = "demo.json"
"""Says that a demo made the folder, and how."""


@dataclass(frozen=True)
class Outcome:
    """One row of the table.

    Attributes:
        weights: number of the student's weights.
        accuracy, agreement: fractions of the held-out images.
        stored: samples of the data set.
        seconds: of all stages but the evaluation; None where they were broken off and resumed.
        url: directory of the run.
    """

    method: str
    weights: int
    accuracy: float
    agreement: float
    stored: int
    seconds: float | None
    url: str


@dataclass(frozen=True)
class Demo:
    """What the demo found: the teacher, and the outcome of each method."""

    teacher: Taught
    outcomes: list[Outcome]


def run_demo(folder: Path, progress: Progress, *, seed: int = 0, restart: bool = False) -> Demo:
    """Teach a student in every way of `METHODS`; what a demo with the same seed left in `folder` is taken up.

    Args:
        folder: receives the images, the teacher and one run per method.
        progress: where to report.
        seed: of the teacher and of all students.
        restart: throw away what an earlier demo left.

    Raises:
        UserError: `folder` holds something else, or scikit-learn is not installed.
    """
    with _one_thread():
        _take(folder, seed, restart)
        _write_digits(folder)
        teacher = _teach(_config(folder, "plain KD", seed), progress)
        progress.say(f"teacher: {teacher.accuracy:.1%} right on held-out digits, {teacher.weights:,} weights")
        return Demo(teacher, [_run(method, _config(folder, method, seed), progress) for method in METHODS])


@contextmanager
def _one_thread() -> Iterator[None]:
    """For nets this small several threads wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _take(folder: Path, seed: int, restart: bool) -> None:
    """Make `folder` this demo's own."""
    place = Folder(str(folder))
    wanted = {"bpkd": VERSION, "seed": seed, "teacher_epochs": EPOCHS, "student_steps": STEPS}
    names = [*place.names(), *place.folders()]
    empty = not names
    if not empty and not place.exists(MARKER):
        raise UserError(f"{folder} is not empty and no demo made it; name another folder with --output")
    if not empty and restart:
        place.write(MARKER, b"{}")  # what is left when this is broken off is nobody's
        for name in names:
            if name != MARKER:
                place.remove(name)
    elif not empty and (found := json.loads(place.read(MARKER))) != wanted:
        differing = [
            f"{name} = {found.get(name)}, now {value}" for name, value in wanted.items() if found.get(name) != value
        ]
        raise UserError(f"{folder}: the demo there has {differing[0]}; use --restart, or another folder with --output")
    place.write(MARKER, json.dumps(wanted).encode())


def _teach(config: Config, progress: Progress) -> Taught:
    if Path(config.locate(str(config.teacher.weights))).exists():
        return measure_teacher(config)
    return train_teacher(config, epochs=EPOCHS, batch_size=64, lr=3e-3, progress=progress)


def _run(method: str, config: Config, progress: Progress) -> Outcome:
    """One method from end to end."""

    def stages() -> int:
        cache(config, progress=progress)
        mine(config, progress=progress)
        stored = export(config, progress=progress).samples
        train(config, progress=progress)
        return stored

    progress.say(method)
    stored, seconds = timed(config.output, stages)
    record_config(config)
    figures = evaluate(config, progress=progress)
    return Outcome(method, _weights(config), figures["accuracy"], figures["agreement"], stored, seconds, config.output)


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
