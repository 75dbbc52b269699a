"""Opening what a config names: the source, the two models, and the row format that they imply."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import torch

from pipeline.kinds.base import Kind
from pipeline.models import Wrapped, check_outputs, compatible, freeze, load_model, weights_sha256
from pipeline.shards.rows import RowFormat
from pipeline.sources import Block, Samples
from schemas.config import Config
from schemas.errors import UserError
from schemas.sections import ModelConfig

Role = Literal["teacher", "student"]


def open_teacher(config: Config, samples: Samples, device: torch.device) -> tuple[Wrapped, int]:
    """The frozen teacher and K, the number of its outputs.

    Raises:
        UserError: it cannot be built, or its outputs do not fit the data's classes.
    """
    kind, shape = samples.kind, samples.shape
    regression = config.data.task == "regression"
    outputs = samples.targets if regression else samples.classes
    teacher = freeze(_load(config, "teacher", shape, outputs, device))
    width = check_outputs(teacher, blank_inputs(kind, shape, device), "teacher", samples.classes)
    if regression and outputs is not None and outputs != width:
        raise UserError(
            f"the teacher gives {width} numbers per sample, the labels have {outputs}; they must be as many"
        )
    if not regression and width < 2:
        raise UserError(
            'the teacher has 1 output, a classifier has 2 or more; for numbers set data.task = "regression"'
        )
    return teacher, width


def open_student(config: Config, kind: Kind, shape: tuple[int, ...], width: int, device: torch.device) -> Wrapped:
    """The student with the weights that it starts from.

    Raises:
        UserError: it cannot be built, or its outputs are not as many as the teacher's.
    """
    student = _load(config, "student", shape, width, device)
    compatible(width, check_outputs(student, blank_inputs(kind, shape, device), "student", None))
    return student


def row_format(config: Config, samples: Samples, width: int) -> RowFormat:
    return RowFormat(
        kind=config.data.kind,
        codec=config.cache.codec,
        width=width,
        shape=samples.shape,
        task=config.data.task,
        targets=samples.targets or 1,
        class_names=tuple(samples.class_names) if samples.class_names else None,
    )


def describe_model(config: ModelConfig, model: Wrapped) -> dict[str, Any]:
    """What identifies a model: how it is built, and the sha256 of its weights."""
    built = config.model_dump(mode="json", exclude={"weights"})
    return {**built, "sha256": weights_sha256(model)}


def check_labels(block: Block, width: int) -> None:
    """Raise UserError where a class index is none of the teacher's."""
    if block.labels.dtype == np.int64 and len(block.labels) and block.labels.max() >= width:
        worst = int(block.labels.argmax())
        raise UserError(
            f"sample {block.keys[worst]} has label {block.labels[worst]}, but the teacher knows {width} classes "
            f"(0 to {width - 1}); fix the labels, or set data.labels = false"
        )


def blank_inputs(kind: Kind, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """(1, ...) inputs of zeros, to see what a model makes of the shape."""
    dtype = np.uint8 if kind.column == "image" else np.float32
    return kind.to_inputs(np.zeros((1, *shape), dtype)).to(device)


def autocast(config: Config, device: torch.device) -> AbstractContextManager[Any]:
    """The precision of forward and backward passes that `run.precision` asks for."""
    if config.run.precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def predict(
    model: torch.nn.Module, kind: Kind, stored: np.ndarray[Any, Any], batch_size: int, device: torch.device
) -> torch.Tensor:
    """(N, K) float32 logits on the CPU for (N, ...) stored samples."""
    outputs = []
    with torch.inference_mode():
        for start in range(0, len(stored), batch_size):
            inputs = kind.to_inputs(stored[start : start + batch_size]).to(device)
            outputs.append(model(inputs).float().cpu())
    return torch.cat(outputs)


def _load(config: Config, role: Role, shape: tuple[int, ...], classes: int | None, device: torch.device) -> Wrapped:
    section = config.teacher if role == "teacher" else config.student
    return load_model(
        section, config.locate, role=role, shape=shape, classes=classes, seed=config.run.seed, device=device
    )
