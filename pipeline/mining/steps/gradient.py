from __future__ import annotations

import torch


class GradientStep:
    """The gradient itself: x + eta * grad (the paper's rule, arXiv 2301.12006). Steps shrink with the gap."""

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient
