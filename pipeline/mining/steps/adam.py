from __future__ import annotations

import torch


class AdamStep:
    """Adam on the input (Kingma and Ba, arXiv 1412.6980, algorithm 1), moments kept over one climb."""

    def __init__(self) -> None:
        self.beta1, self.beta2, self.epsilon = 0.9, 0.999, 1e-8
        self._count = 0
        self._mean: torch.Tensor | None = None
        self._square: torch.Tensor | None = None

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        if self._mean is None or self._square is None:
            self._mean, self._square = torch.zeros_like(gradient), torch.zeros_like(gradient)
        self._count += 1
        self._mean.lerp_(gradient, 1 - self.beta1)
        self._square.lerp_(gradient.square(), 1 - self.beta2)
        mean = self._mean / (1 - self.beta1**self._count)
        square = self._square / (1 - self.beta2**self._count)
        return mean / (square.sqrt() + self.epsilon)
