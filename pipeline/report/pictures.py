"""Small pictures as data URLs: images as they are stored, and what has changed between two of them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.kinds.image import to_image

Pixels = npt.NDArray[Any]

LARGEST = 96
"""Pixels of the longer side; what is larger is scaled down, so that a page with many of them stays small."""

_DARKER, _BRIGHTER = np.array([201, 81, 0]), np.array([0, 104, 168])
"""Orange and blue, which people tell apart whatever colours they see."""


def picture(pixels: Pixels) -> str:
    """uint8 (C, H, W) with C = 1, 3 or 4 -> a data URL."""
    return _url(to_image(pixels))


def difference(before: Pixels, after: Pixels) -> tuple[str, float]:
    """What has changed, the largest change in full colour; and that change as a part of the range of values.

    Args:
        before, after: uint8 (C, H, W). Of grey images orange is darker and blue brighter; of others every channel is
            drawn by itself around a middle grey.
    """
    change = after.astype(np.float64) - before.astype(np.float64)
    largest = float(np.abs(change).max())
    scaled = change / (largest or 1.0)
    if len(scaled) == 1:
        amount = scaled[0][..., None]
        colour = np.where(amount < 0, _DARKER, _BRIGHTER)
        shown = (255 + np.abs(amount) * (colour - 255)).transpose(2, 0, 1)
    else:
        shown = 127.5 + 127.5 * scaled[:3]
    return _url(to_image(shown.round().astype(np.uint8))), largest / 255


def _url(image: Image.Image) -> str:
    """What is small enough comes pixel by pixel, all else as a sketch of itself."""
    sink = io.BytesIO()
    if max(image.size) <= LARGEST:
        image.save(sink, "PNG", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(sink.getvalue()).decode()}"
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    image.save(sink, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(sink.getvalue()).decode()}"
