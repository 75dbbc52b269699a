from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.mining.starts.base import parents_share, require_images


@dataclass(frozen=True)
class CutmixStart:
    """The image with a box of it replaced by the same box of another image of its batch, area ~ Beta(alpha, alpha).

    The larger part stays with the parent (Yun et al., arXiv 1905.04899). The centre of the box may be any pixel; what
    would lie outside of the image is left out.
    """

    alpha: float = 1.0

    def __call__(self, parents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        require_images("cutmix", parents)
        side = (1 - parents_share(parents, self.alpha, generator)).sqrt()
        partners = parents[torch.randperm(len(parents), generator=generator)]
        rows, columns = (_span(side, size, generator) for size in parents.shape[2:])
        return torch.where((rows[:, :, None] & columns[:, None, :])[:, None], partners, parents)


def _span(side: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """bool (N, size): `side` (N,), a fraction of the size, of pixels in a row round a random one."""
    length = (side * size).long()
    first = torch.randint(size, (len(side),), generator=generator) - length // 2
    place = torch.arange(size)
    return (place >= first[:, None]) & (place < (first + length)[:, None])
