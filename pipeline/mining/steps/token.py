from __future__ import annotations

import torch

from pipeline.mining.steps.l2 import L2Step


class TokenStep:
    """Each token's gradient at unit L2 norm, so that every token moves by the step size; for text."""

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        return L2Step()(gradient.flatten(0, -2)).view_as(gradient)
