from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class MixupStart:
    """A convex combination of the sample and another one of its batch, weight ~ Beta(alpha, alpha).

    The larger weight stays with the parent (Zhang et al., arXiv 1710.09412).
    """

    alpha: float = 1.0

    def __call__(self, parents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        count = len(parents)
        # torch has no seeded Beta sampler; numpy's is seeded from the same generator.
        seed = int(torch.randint(2**62, (), generator=generator))
        weight = torch.from_numpy(np.random.default_rng(seed).beta(self.alpha, self.alpha, count)).to(parents.dtype)
        weight = torch.maximum(weight, 1 - weight).view(-1, *[1] * (parents.ndim - 1))
        partners = parents[torch.randperm(count, generator=generator)]
        return weight * parents + (1 - weight) * partners
