"""The region that a climb stays in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch


class Region(Protocol):
    """Where the points of a climb may lie."""

    def project(self, inputs: torch.Tensor, parents: torch.Tensor) -> torch.Tensor:
        """The point of the region near `inputs`, (N, ...) -> (N, ...)."""


@dataclass(frozen=True)
class Bounds:
    """The valid input box and, optionally, a ball round the parent.

    Attributes:
        low, high: scalars, or tensors that broadcast against one sample.
        ball: norm of the ball, None for the box alone.
        radius: of the ball, in input units.
    """

    low: float | torch.Tensor
    high: float | torch.Tensor
    ball: Literal["l2", "linf"] | None = None
    radius: float = 1.0

    def project(self, inputs: torch.Tensor, parents: torch.Tensor) -> torch.Tensor:
        """The point of the region near `inputs`, (N, ...) -> (N, ...).

        Ball first, box last: as the parent lies in the box, clipping to the box moves no coordinate away from the
        parent and so cannot leave the ball again. A parent outside of the box loses to the box.
        """
        if self.ball == "linf":
            inputs = parents + (inputs - parents).clamp(-self.radius, self.radius)
        elif self.ball == "l2":
            offset = (inputs - parents).flatten(1)
            scale = self.radius / offset.norm(dim=1, keepdim=True).clamp_min(self.radius)
            inputs = parents + (offset * scale).view_as(inputs)
        return torch.clamp(inputs, torch.as_tensor(self.low).to(inputs), torch.as_tensor(self.high).to(inputs))
