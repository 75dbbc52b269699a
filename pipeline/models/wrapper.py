"""The wrapper round models of images and vectors: inputs in the user's space, logits out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.models.base import AnyModel, as_logits
from schemas.errors import UserError


class Wrapped(AnyModel):
    """A user's model that takes inputs in the user's space and returns (N, K) logits.

    Normalises `(inputs - mean) / std` along dimension 1 (channels of images, features of vectors), calls `inner`, and
    takes the logits from a tensor, an object with `.logits`, or the first of a tuple or list; (N,) becomes (N, 1).

    Args:
        inner: the user's model. What is saved, loaded and fingerprinted is this one.
        mean: one value, or one per channel or feature; 0 when left out.
        std: likewise; 1 when left out.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, inner: nn.Module, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("mean", torch.tensor(mean or [0.0], dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std or [1.0], dtype=torch.float32), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (N, K) for floating `inputs` (N, C, H, W) or (N, D).

        Raises:
            UserError: mean or std does not fit the inputs, or the model does not return floating (N, K).
        """
        mean, std = _along_features(self.mean, "mean", inputs), _along_features(self.std, "std", inputs)
        return as_logits(self.inner((inputs - mean) / std), len(inputs))


def _along_features(values: Tensor, name: str, inputs: Tensor) -> Tensor:
    if len(values) not in (1, inputs.shape[1]):
        what = "channels" if inputs.ndim > 2 else "features"
        raise UserError(
            f"{name} has {len(values)} values but inputs have {inputs.shape[1]} {what}; give as many, or one"
        )
    return values.view(-1, *[1] * (inputs.ndim - 2))
