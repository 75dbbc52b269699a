"""A model from its section of the config, and the checks before it is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from pipeline.models.base import AnyModel
from pipeline.models.factory import build_model, refuse_lazy
from pipeline.models.load_text import load_text_model
from pipeline.models.messages import one_line
from pipeline.models.places import HF_PREFIX
from pipeline.models.weights import fit_weights, read_weights
from pipeline.models.wrapper import Wrapped
from pipeline.seeds import derive_seed
from pipeline.text.sentences import Sentences
from schemas.errors import UserError
from schemas.sections import ModelConfig

Role = Literal["teacher", "student"]
Model = TypeVar("Model", bound=nn.Module)


def load_model(
    config: ModelConfig,
    locate: Callable[[str], str],
    *,
    role: Role,
    shape: tuple[int, ...],
    classes: int | None,
    seed: int,
    device: torch.device | str,
    kind: str = "array",
    max_length: int = 128,
) -> AnyModel:
    """Build a model and load its weights.

    Initial weights depend on (seed, role) only, and the global random state stays as it was. A teacher without
    `weights` is allowed, as a factory may load its own.

    Args:
        config: section [teacher] or [student].
        locate: makes a path of the config absolute.
        role: which of the two sections it is.
        shape: of one sample, (C, H, W) or (D,); a zoo model takes `channels` or `inputs` from it. Not used for text.
        classes: number of outputs where it is known; a zoo model and a new classifier of transformers take it.
        seed: of the run.
        device: where the model goes.
        kind: of the samples; "text" gives a `TextModel`, anything else a `Wrapped`.
        max_length: tokens of a text at most.

    Raises:
        UserError: the factory, the weights or the tokenizer are wrong.
    """
    device = torch.device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, role))
        if kind == "text":
            return load_text_model(config, locate, role=role, classes=classes, max_length=max_length).to(device)
        return _load_tensor_model(config, locate, role, shape, classes).to(device)


def _load_tensor_model(
    config: ModelConfig, locate: Callable[[str], str], role: Role, shape: tuple[int, ...], classes: int | None
) -> Wrapped:
    if config.factory.startswith(HF_PREFIX) or config.tokenizer is not None or config.layers is not None:
        raise UserError(
            f'{role}: hf: models, tokenizer and layers are for text; set data.kind = "text", or leave them out'
        )
    defaults: dict[str, Any] = {"inputs": math.prod(shape)}
    if len(shape) == 3:
        defaults["channels"] = shape[0]
    if classes is not None:
        defaults["classes"] = classes
    inner = build_model(config.factory, config.kwargs, defaults, locate, role=role)
    refuse_lazy(inner, f"{role}.factory = {config.factory!r}")
    if config.weights is not None:
        url = locate(config.weights)
        fit_weights(inner, read_weights(url), f"{role}.weights = {url}")
    return Wrapped(inner, config.mean, config.std)


def freeze(model: Model) -> Model:
    """`model` itself, in eval mode and with parameters that take no gradient."""
    return model.eval().requires_grad_(False)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Freeze `model` for a while; every flag is afterwards as it was, those that its author set included."""
    training = [(module, module.training) for module in model.modules()]
    gradients = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    freeze(model)
    try:
        yield
    finally:
        for module, flag in training:
            module.training = flag
        for parameter, flag in gradients:
            parameter.requires_grad_(flag)


@torch.no_grad()
def check_outputs(model: AnyModel, sample_inputs: Tensor | Sentences, role: Role, classes: int | None) -> int:
    """Width K of the logits, from one forward pass in eval mode; training flags come back as they were.

    Args:
        model: as `load_model` returns it.
        sample_inputs: a few samples: (N, C, H, W) or (N, D) float32 in the user's space, or sentences.
        role: section of the config, for messages.
        classes: what the data has, None where unknown.

    Raises:
        UserError: the model cannot take these inputs, does not return (N, K), or K is not `classes`.
    """
    training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        width = model(sample_inputs.to(model.device)).shape[1]
    except UserError as error:
        raise UserError(f"{role}: {error}") from error
    except Exception as error:
        shaped = f"inputs of shape {tuple(sample_inputs.shape)}" if isinstance(sample_inputs, Tensor) else "sentences"
        raise UserError(f"{role}: its forward pass on {shaped} raised {one_line(error)}") from error
    finally:
        for module, flag in training:
            module.training = flag
    if classes is not None and width != classes:
        remedy = f"change {role}.kwargs or {role}.factory, or data.classes"
        raise UserError(f"{role}: has {width} outputs but the data has {classes} classes; {remedy}")
    return int(width)


def compatible(teacher_width: int, student_width: int) -> None:
    """Refuse a pair of models whose logits cannot be compared.

    Raises:
        UserError: the widths differ.
    """
    if teacher_width != student_width:
        raise UserError(
            f"the teacher has {teacher_width} outputs and the student {student_width}; "
            f"set student.kwargs (or student.factory) so that it has {teacher_width}"
        )


def pick_device(name: str) -> torch.device:
    """The device that `run.device` means: "auto" is CUDA, else MPS, else the CPU.

    Raises:
        UserError: this machine, or this build of torch, does not have it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if (device.index or 0) >= count:
        raise UserError(f'run.device = "{name}": torch sees {count} {device.type} devices here; take auto or cpu')
    return device
