from __future__ import annotations

import math

import torch
from torch.nn import functional

from pipeline.mining.steps.l2 import L2Step
from schemas.errors import UserError


class SmoothStep:
    """The gradient, blurred over the image, at unit L2 norm: for images, (N, C, H, W).

    What only one student is wrong about sits in fine patterns of pixels; what others share is smooth (Dong et al.,
    arXiv 1904.02884, blur the gradient to find inputs that mislead models that they have not seen).

    Args:
        sigma: standard deviation of the Gaussian, in pixels.
    """

    def __init__(self, sigma: float = 1.0) -> None:
        if not sigma > 0:
            raise UserError(f"mine.step_options: sigma = {sigma}; takes a number of pixels above 0")
        reach = math.ceil(3 * sigma)
        weights = torch.exp(-(torch.arange(-reach, reach + 1, dtype=torch.float64) ** 2) / (2 * sigma**2))
        self._kernel, self._reach, self._length = weights / weights.sum(), reach, L2Step()

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        if gradient.ndim != 4:
            raise UserError('mine.step_rule = "smooth" blurs images; other data takes l2')
        channels, kernel = gradient.shape[1], self._kernel.to(gradient)
        rows = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
        blurred = functional.conv2d(gradient, rows, padding=(0, self._reach), groups=channels)
        return self._length(functional.conv2d(blurred, rows.mT, padding=(self._reach, 0), groups=channels))
