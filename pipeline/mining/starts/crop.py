from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from pipeline.mining.starts.base import require_images
from schemas.errors import UserError

_PADDINGS = {"zero": "constant", "reflect": "reflect"}


@dataclass(frozen=True)
class CropStart:
    """The image moved by up to `pad` pixels, and mirrored or not: the usual augmentation of images.

    `pad` pixels are added on every side, of `padding` "zero" or "reflect", and the old size is cut out anywhere; with
    `flip`, half of the images are mirrored left to right (He et al., arXiv 1512.03385).
    """

    pad: int = 4
    flip: bool = True
    padding: str = "zero"

    def __post_init__(self) -> None:
        if self.padding not in _PADDINGS:
            raise UserError(f'mine.start_options: padding = "{self.padding}"; takes {" or ".join(_PADDINGS)}')
        if not isinstance(self.pad, int) or self.pad < 0:
            raise UserError(f"mine.start_options: pad = {self.pad}; takes a whole number of pixels, 0 or more")

    def __call__(self, parents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        require_images("crop", parents)
        count, channels, height, width = parents.shape
        if self.padding == "reflect" and self.pad >= min(height, width):
            raise UserError(
                f"mine.start_options: {self.pad} pixels cannot be reflected from images of {height}x{width}; "
                f"take pad = {min(height, width) - 1} or less"
            )
        padded = functional.pad(parents, [self.pad] * 4, mode=_PADDINGS[self.padding])
        top, left = torch.randint(2 * self.pad + 1, (2, count, 1), generator=generator)
        rows, columns = top + torch.arange(height), left + torch.arange(width)
        if self.flip:
            mirrored = torch.randint(2, (count, 1), generator=generator).bool()
            columns = torch.where(mirrored, columns.flip(1), columns)
        every, channel = torch.arange(count)[:, None, None, None], torch.arange(channels)[:, None, None]
        return padded[every, channel, rows[:, None, :, None], columns[:, None, None, :]]
