"""Reference net for small images: a plain convolutional network."""

from __future__ import annotations

from torch import nn

from schemas.errors import UserError


def cnn(classes: int, channels: int = 1, width: int = 32, depth: int = 4, norm: bool = True) -> nn.Module:
    """A 5x5 convolution with stride 2, a 2x2 max pool, `depth` - 1 convolutions 3x3, global average pooling, linear.

    Maps float (N, channels, H, W) to (N, classes) for any H and W; made for 8x8 to 32x32. All but the first
    convolution run at a quarter of the resolution, so that a small one trains fast on a CPU. On 28x28 grey images with
    10 classes, width 128 and depth 5 have 595,594 weights, width 16 and depth 4 have 7,610.

    Args:
        classes: outputs; for regression the number of targets.
        channels: of the input images.
        width: channels of every convolution.
        depth: number of convolutions, at least 1.
        norm: batch normalisation after every convolution.

    Raises:
        UserError: depth is below 1.
    """
    if depth < 1:
        raise UserError(f"depth = {depth}; takes 1 or more")
    layers = [*_convolution(channels, width, kernel=5, stride=2, norm=norm), nn.MaxPool2d(2, ceil_mode=True)]
    for _ in range(depth - 1):
        layers += _convolution(width, width, kernel=3, stride=1, norm=norm)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def _convolution(inputs: int, outputs: int, *, kernel: int, stride: int, norm: bool) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=not norm)]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    return [*layers, nn.ReLU(inplace=True)]
