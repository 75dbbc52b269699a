"""What a step rule is."""

from __future__ import annotations

from typing import Protocol

import torch


class StepRule(Protocol):
    """Turns gradients into directions; the ascent multiplies them by the step size and adds them.

    An instance serves one climb of one batch, so it may keep state between its calls (see adam). A new rule is a class
    in a file of this folder and a line in `schemas.registry.STEP_RULES`.
    """

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        """(N, ...) gradient of the gap -> (N, ...) direction. Samples do not influence each other."""
