from __future__ import annotations

import torch

from pipeline.mining.steps.l2 import L2Step


class SentenceStep:
    """The gradient scaled so that the tokens that may move do so by the step size in the root mean square; for text.

    Within a text the tokens share it as their gradients say, and long texts move no less per token than short ones.
    """

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        moving = (gradient != 0).any(dim=-1).view(len(gradient), -1).sum(dim=1).to(gradient.dtype)
        return L2Step()(gradient) * moving.sqrt().view(-1, *[1] * (gradient.ndim - 1))
