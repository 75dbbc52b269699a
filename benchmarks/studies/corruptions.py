"""What is done to images of the test split: noise, blur, rotation, and the worst that is near for one student."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

Corruption = Callable[[torch.Tensor, float, torch.Generator], torch.Tensor]
"""(N, C, H, W) in [0, 1], strength, CPU generator -> the same shape in [0, 1]."""

STEPS = 10
"""Of an attack, each a quarter of the radius."""


def noise(images: torch.Tensor, std: float, generator: torch.Generator) -> torch.Tensor:
    return (images + std * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def blur(images: torch.Tensor, sigma: float, generator: torch.Generator) -> torch.Tensor:
    """By a Gaussian, `sigma` in pixels; as if pixels at the border went on."""
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    channels = images.shape[1]
    weights = (kernel / kernel.sum()).expand(channels, 1, 1, -1)
    padded = functional.pad(images, [reach] * 4, mode="replicate")
    rows = functional.conv2d(padded, weights, groups=channels)
    return functional.conv2d(rows, weights.transpose(2, 3), groups=channels).clamp(0, 1)


def rotation(images: torch.Tensor, degrees: float, generator: torch.Generator) -> torch.Tensor:
    """By that much to the left or to the right, round the middle; what comes in is black."""
    side = torch.randint(2, (len(images),), generator=generator) * 2 - 1
    angle = side * math.radians(degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros(len(images))
    turn = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
    grid = functional.affine_grid(turn, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False).clamp(0, 1)


CORRUPTIONS: Mapping[str, tuple[Corruption, tuple[float, ...]]] = {
    "noise, standard deviation": (noise, (0.1, 0.2, 0.3)),
    "blur, pixels": (blur, (0.5, 1.0, 2.0)),
    "rotation, degrees": (rotation, (10, 20, 30)),
}
ATTACK = "attack, L2 radius"
RADII = (0.5, 1.0, 2.0)


def attacked(student: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, radius: float) -> torch.Tensor:
    """The images with the largest cross-entropy against their labels (N,) that `mine`'s climb finds in the L2 ball."""
    from pipeline.mining import Bounds, ascend
    from schemas.registry import STEP_RULES

    return ascend(
        lambda x: x.new_zeros(len(x), 1),  # the teacher is not asked
        student,
        images,
        images,
        objective=lambda _, logits: functional.cross_entropy(logits, labels, reduction="none"),
        step_rule=STEP_RULES.build("l2"),
        bounds=Bounds(0, 1, "l2", radius),
        steps=STEPS,
        step_size=radius / 4,
    ).inputs
