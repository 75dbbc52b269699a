from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class NoiseStart:
    """The sample plus Gaussian noise of standard deviation `std`, in input units.

    For text `std` is the root mean square length of a token's shift, in mean embedding norms: `features` is the number
    of values that share it.
    """

    std: float = 0.3
    features: int = 1

    def __call__(self, parents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return parents + self.std / math.sqrt(self.features) * torch.randn(parents.shape, generator=generator)
