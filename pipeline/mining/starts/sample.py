from __future__ import annotations

import torch


class SampleStart:
    """The sample itself (the paper's start)."""

    def __call__(self, parents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return parents.clone()
