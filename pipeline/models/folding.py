"""Batch norms folded into the layers before them: the same function of the inputs in fewer passes over memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

M = TypeVar("M", bound=nn.Module)

_FUSIONS: dict[tuple[type, type], Callable[..., nn.Module]] = {
    (nn.Conv1d, nn.BatchNorm1d): fuse_conv_bn_eval,
    (nn.Conv2d, nn.BatchNorm2d): fuse_conv_bn_eval,
    (nn.Conv3d, nn.BatchNorm3d): fuse_conv_bn_eval,
    (nn.Linear, nn.BatchNorm1d): fuse_linear_bn_eval,
}
"""By the types themselves: what a subclass computes besides is unknown."""

_SAMPLES = 4
_AGREEMENT = 1e-9
"""Largest difference of the outputs in float64, relative to the largest output. A wrong fold is off by far more."""


def fold_batch_norms(model: M, inputs: Tensor) -> M:
    """A copy of a frozen model in which each batch norm that follows a convolution or a linear layer is part of it.

    Pairs are found by watching the model work, which takes any code, and the result is compared with the model in
    float64: where a pair is none after all, as the layer's output has another use, nothing is folded.

    Args:
        model: in eval mode.
        inputs: float32 (1, ...), of the shape of one sample and on the model's device.

    Returns:
        The copy; the model itself where there is nothing to fold, or it does not compute in float64.
    """
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        return model
    samples = torch.rand(_SAMPLES, *inputs.shape[1:], generator=torch.Generator().manual_seed(0)).to(inputs)
    try:
        pairs = _pairs(model, samples)
        if not pairs:
            return model
        exact, wide = copy.deepcopy(model).double(), samples.double()
        with torch.no_grad():
            wanted = exact(wide)
            found = _fold(exact, pairs)(wide)
        if not (found - wanted).abs().max() <= _AGREEMENT * wanted.abs().max():
            return model
        return _fold(copy.deepcopy(model), pairs)
    except Exception:  # of the user's own code, which works as it is
        return model


def _pairs(model: nn.Module, inputs: Tensor) -> list[tuple[str, str, Callable[..., nn.Module]]]:
    """(path of the layer, path of the batch norm that takes its output, how they are fused), each called once."""
    calls: list[tuple[str, nn.Module, Any, Any]] = []

    def watch(path: str) -> Callable[[nn.Module, Any, Any], None]:
        # Tensors are kept, so that an identity stands for one of them only.
        return lambda module, given, output: calls.append((path, module, given[0] if given else None, output))

    hooks = [
        module.register_forward_hook(watch(path)) for path, module in model.named_modules() if not [*module.children()]
    ]
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    times = [id(module) for _, module, _, _ in calls]
    layers = {id(output): (path, module) for path, module, _, output in calls}
    pairs = []
    for path, norm, given, _ in calls:
        before, layer = layers.get(id(given), ("", None))
        fuse = _FUSIONS.get((type(layer), type(norm)))
        # Without running statistics it takes those of the batch.
        fixed = getattr(norm, "running_mean", None) is not None
        if fuse is not None and fixed and times.count(id(layer)) == times.count(id(norm)) == 1:
            pairs.append((before, path, fuse))
    return pairs


def _fold(model: M, pairs: list[tuple[str, str, Callable[..., nn.Module]]]) -> M:
    for before, after, fuse in pairs:
        model.set_submodule(before, fuse(model.get_submodule(before), model.get_submodule(after)))
        model.set_submodule(after, nn.Identity().eval())
    return model
