"""What every wrapped model has, whatever it takes."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn

from schemas.errors import UserError


class AnyModel(nn.Module):
    """A user's model that takes inputs in the user's space and returns (N, K) logits.

    Attributes:
        inner: the user's own model. What is saved, loaded and fingerprinted is this one.
    """

    inner: nn.Module

    @property
    def device(self) -> torch.device:
        """Where the model is, and its inputs go; the CPU for one without any tensor."""
        tensor = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if tensor is None else tensor.device


def unwrap(model: nn.Module) -> nn.Module:
    """The user's own model."""
    return model.inner if isinstance(model, AnyModel) else model


def as_logits(output: object, samples: int) -> Tensor:
    """Logits (N, K) from what a model returned: a tensor, an object with `.logits`, or the first of a tuple or list.

    (N,) becomes (N, 1).

    Raises:
        UserError: it is none of these, not floating, or not (N, K) for N = `samples`.
    """
    if not isinstance(output, Tensor):
        output = getattr(output, "logits", output)
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise UserError(
            f"returns {type(output).__name__}; must be a tensor, an object with .logits, or a tuple of tensors"
        )
    if not output.is_floating_point():
        raise UserError(f"returns {output.dtype}; must be floating (N, K) logits")
    logits = output[:, None] if output.ndim == 1 else output
    if logits.ndim != 2 or logits.shape[0] != samples:
        raise UserError(f"returns shape {tuple(logits.shape)} for {samples} samples; must be (N, K) logits")
    return logits
