"""Losses against the labels of a data set, for the samples that have one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.distill.losses.base import full_precision


def known(labels: Tensor) -> Tensor:
    """(N,) bool: which samples have a label.

    Args:
        labels: (N,) integer class indices, -1 where unknown; or (N,) or (N, K) floating targets, NaN where unknown. A
            sample counts as labelled when any of its K targets is known.
    """
    if not labels.is_floating_point():
        return labels >= 0
    return ~labels.isnan()[..., None].flatten(1).all(1)


def cross_entropy(student: Tensor, labels: Tensor) -> Tensor:
    """(N,) negative log-likelihood of the label in nats, 0 with zero gradient where it is unknown.

    Args:
        student: (N, K) floating logits.
        labels: (N,) int64 class indices, -1 where unknown.
    """
    return functional.cross_entropy(full_precision(student), labels, ignore_index=-1, reduction="none")


def squared_error(student: Tensor, targets: Tensor) -> Tensor:
    """(N,) mean over a sample's known targets of the squared error, 0 with zero gradient where none is known.

    Args:
        student: (N, K) floating outputs.
        targets: (N, K) floating, or (N,) when K = 1; NaN where unknown.
    """
    outputs = full_precision(student)
    targets = targets.reshape(outputs.shape).to(outputs.dtype)
    missing = targets.isnan()
    # NaN is replaced before the subtraction: masked afterwards it would still reach the gradient as 0 * NaN.
    errors = (outputs - torch.where(missing, outputs.detach(), targets)).square()
    return errors.sum(1) / (~missing).sum(1).clamp(min=1)
