from __future__ import annotations

import torch


class L2Step:
    """The gradient at unit L2 norm per sample, so that the step size is the length of the step in input units."""

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        flat = gradient.flatten(1)
        # Scaled by its largest entry first: the squares of a tiny gradient would underflow to a zero norm.
        largest = flat.abs().amax(dim=1, keepdim=True)
        scaled = flat / torch.where(largest > 0, largest, 1)
        norm = scaled.norm(dim=1, keepdim=True)
        return (scaled / torch.where(norm > 0, norm, 1)).view_as(gradient)
