"""The contact sheet of a data set of images: one example a row, parent | auxiliary | difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.card.examples import Example
from pipeline.kinds.image import to_image, to_png

TILE = 96
"""Pixels of the longer side of an image on the sheet."""

_GAP = 4
_WHITE, _GREY = 255, 128

Pixels = npt.NDArray[np.uint8]


def contact_sheet(examples: Sequence[Example]) -> bytes:
    """PNG of some examples; the difference is grey where nothing has changed, brighter where the auxiliary one is.

    Args:
        examples: at least one, each of an image (C, H, W) uint8. Where no parents are known, of the samples alone.
    """
    rows = [[_tile(image) for image in _images(example)] for example in examples]
    height, width = rows[0][0].shape[1:]
    sheet = np.full((3, len(rows) * (height + _GAP) - _GAP, len(rows[0]) * (width + _GAP) - _GAP), _WHITE, np.uint8)
    for down, tiles in enumerate(rows):
        for right, tile in enumerate(tiles):
            top, left = down * (height + _GAP), right * (width + _GAP)
            sheet[:, top : top + height, left : left + width] = tile
    return to_png(sheet)


def _images(example: Example) -> list[Pixels]:
    sample = _colours(example.sample.stored)
    if example.parent is None:
        return [sample]
    parent = _colours(example.parent.stored)
    difference = (sample.astype(np.int16) - parent) // 2 + _GREY
    return [parent, sample, difference.clip(0, 255).astype(np.uint8)]


def _colours(image: Pixels) -> Pixels:
    """(3, H, W) of grey, RGB or RGBA."""
    return np.repeat(image, 3, axis=0) if image.shape[0] == 1 else image[:3]


def _tile(image: Pixels) -> Pixels:
    """Small pixels stay sharp; large images are made smaller."""
    longest = max(image.shape[1:])
    if longest <= TILE:
        times = TILE // longest
        return image.repeat(times, axis=1).repeat(times, axis=2)
    height, width = (max(1, side * TILE // longest) for side in image.shape[1:])
    return np.asarray(to_image(image).resize((width, height), Image.Resampling.BOX)).transpose(2, 0, 1)
