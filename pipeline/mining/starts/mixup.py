from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.mining.starts.base import parents_share


@dataclass(frozen=True)
class MixupStart:
    """A convex combination of the sample and another one of its batch, weight ~ Beta(alpha, alpha).

    The larger weight stays with the parent (Zhang et al., arXiv 1710.09412).
    """

    alpha: float = 1.0

    def __call__(self, parents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        weight = parents_share(parents, self.alpha, generator).view(-1, *[1] * (parents.ndim - 1))
        partners = parents[torch.randperm(len(parents), generator=generator)]
        return weight * parents + (1 - weight) * partners
