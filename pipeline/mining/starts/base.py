"""What a start is."""

from __future__ import annotations

from typing import Protocol

import torch


class Start(Protocol):
    """Chooses the first point of each climb; the bounds are applied afterwards.

    A new start is a class in a file of this folder and a line in `schemas.registry.STARTS`; what its constructor takes
    by keyword is set by `mine.start_options`. All randomness comes from `generator`, a CPU generator.
    """

    def __call__(self, parents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(N, ...) float32 CPU parents -> (N, ...) first points, a new tensor."""
