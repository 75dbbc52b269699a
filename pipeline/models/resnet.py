"""Reference net for small colour images: the CIFAR residual network."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from schemas.errors import UserError


class _Block(nn.Module):
    """Two 3x3 convolutions and an identity shortcut without weights (option A of the paper)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.added = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.added:
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, self.added))
        return functional.relu(out + shortcut)


def resnet(classes: int, channels: int = 3, depth: int = 20, width: int = 16) -> nn.Module:
    """ResNet for small images (He et al. 2016, arXiv 1512.03385, section 4.2).

    Maps float (N, channels, H, W) to (N, classes) for any H and W; made for 32x32. Three stages of (depth - 2) / 6
    blocks with `width`, 2 `width` and 4 `width` channels; the second and third halve the resolution.

    Args:
        classes: outputs; for regression the number of targets.
        channels: of the input images.
        depth: 6n + 2 with n of at least 1; the paper has 20, 32, 44, 56 and 110.
        width: channels of the first stage.

    Raises:
        UserError: depth is not of that form.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise UserError(f"depth = {depth}; takes 6n + 2: 8, 14, 20, 26, 32, 44, 56, 110, ...")
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]
    inputs = width
    for stage in range(3):
        outputs = width * 2**stage
        for block in range(blocks):
            layers.append(_Block(inputs, outputs, stride=2 if stage and not block else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))
