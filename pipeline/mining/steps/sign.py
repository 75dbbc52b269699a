from __future__ import annotations

import torch


class SignStep:
    """The sign of the gradient: every input moves by the step size (Goodfellow et al., arXiv 1412.6572)."""

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.sign()
