"""Students of other architectures than those of the zoo, for the benchmarks."""

from __future__ import annotations

from torch import nn

from pipeline.models.resnet import resnet


def halved_resnet(classes: int, channels: int = 1, depth: int = 8, width: int = 8) -> nn.Module:
    """The zoo's ResNet at half the resolution, so that it trains on a CPU in a minute: (N, C, H, W) -> (N, classes)."""
    return nn.Sequential(nn.AvgPool2d(2), resnet(classes, channels, depth, width))
