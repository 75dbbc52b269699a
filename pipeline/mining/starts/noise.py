from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class NoiseStart:
    """The sample plus Gaussian noise of standard deviation `std`, in input units."""

    std: float = 0.3

    def __call__(self, parents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return parents + self.std * torch.randn(parents.shape, generator=generator)
