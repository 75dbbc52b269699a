"""What a start is, and what several of them need."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from schemas.errors import UserError


class Start(Protocol):
    """Chooses the first point of each climb; the bounds are applied afterwards.

    A new start is a class in a file of this folder and a line in `schemas.registry.STARTS`; what its constructor takes
    by keyword is set by `mine.start_options`. All randomness comes from `generator`, a CPU generator.
    """

    def __call__(self, parents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(N, ...) float32 CPU parents -> (N, ...) first points, a new tensor."""


def parents_share(parents: torch.Tensor, alpha: float, generator: torch.Generator) -> torch.Tensor:
    """(N,) how much of a mixture with another sample is the parent's: Beta(alpha, alpha), or 1 minus it, if larger."""
    # torch has no seeded Beta sampler; numpy's is seeded from the same generator.
    seed = int(torch.randint(2**62, (), generator=generator))
    share = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, len(parents))).to(parents.dtype)
    return torch.maximum(share, 1 - share)


def require_images(start: str, parents: torch.Tensor) -> None:
    """Raise UserError unless the parents are (N, C, H, W)."""
    if parents.ndim != 4:
        raise UserError(
            f'mine.start = "{start}" is for images, (N, C, H, W), and these samples are {tuple(parents.shape)}; '
            "take sample or noise"
        )
