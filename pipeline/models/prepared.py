"""Models made fast for what climbs do: forward and backward to the input, thousands of times, with frozen weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from pipeline.models.base import AnyModel
from pipeline.models.folding import fold_batch_norms
from pipeline.models.wrapper import Wrapped
from pipeline.text.sentences import Sentences

_WEIGHTY = (nn.Linear, nn.modules.conv._ConvNd)
"""Layers that autocast computes in bf16, casting their weights anew at every call where these are frozen."""


def prepare(model: AnyModel, inputs: Tensor | Sentences, precision: str) -> AnyModel:
    """A form of a frozen model that computes the same, but for rounding, in less time.

    Batch norms are folded into the layers before them, convolutions have channels-last weights, and for bf16 weights
    are cast once. What is done depends on the model, the device and the precision alone, never on time, so that every
    worker has the same bits.

    Args:
        model: in eval mode, frozen; it is left as it is.
        inputs: of the shape of one sample, float32 (1, ...), and on the model's device.
        precision: "fp32", or "bf16" for use under autocast.

    Returns:
        A copy; the model itself where nothing is to be gained.
    """
    if not isinstance(model, Wrapped) or not isinstance(inputs, Tensor):
        return model
    prepared: AnyModel = fold_batch_norms(model, inputs)
    # On CUDA channels-last memory pays with tensor cores only.
    images = inputs.ndim == 4 and (inputs.device.type != "cuda" or precision == "bf16")
    if not images and precision == "fp32":
        return prepared
    if prepared is model:
        prepared = copy.deepcopy(model)
    for module in prepared.modules():
        if precision == "bf16" and isinstance(module, _WEIGHTY):
            module.to(torch.bfloat16)
    if images:
        prepared.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return prepared
