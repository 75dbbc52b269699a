"""The filters of PNG, undone for many images at once.

A pixel is stored as its difference from a prediction, which looks at those to the left, above and left above. So all
pixels of a diagonal, in all images, can be had at once when those of the two diagonals before are there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

Bytes = npt.NDArray[np.uint8]

# What the filters None, Sub, Up, Average and Paeth look at, as masks. The first three are Paeth where all else is 0.
_LEFT = np.array([0, 255, 0, 255, 255], np.uint8)
_ABOVE = np.array([0, 0, 255, 255, 255], np.uint8)
_CORNER = np.array([0, 0, 0, 0, 255], np.uint8)
_AVERAGES = np.array([0, 0, 0, 255, 0], np.uint8)
FILTERS = len(_LEFT)

_BLOCK = 128
"""Images that are transposed at once: the nearest cache holds a line of each."""


def unfilter(rasters: Bytes, channels: int) -> Bytes:
    """uint8 (N, C, H, W) of rasters (N, H, 1 + W * C), in which the number of its filter precedes each row.

    Every number must be below `FILTERS`.
    """
    count, height, width = len(rasters), rasters.shape[1], (rasters.shape[2] - 1) // channels
    filters = np.ascontiguousarray(rasters[:, :, 0].T)[:, None]
    left, above, corner, averages = (masks[filters] for masks in (_LEFT, _ABOVE, _CORNER, _AVERAGES))
    # With a row above and a column to the left of zeros, which is what filters take to be there.
    pixels = np.zeros((height + 1, width + 1, channels, count), np.uint8)
    differences = rasters[:, :, 1:].reshape(count, height, width, channels)
    for block in _blocks(count):
        pixels[1:, 1:, :, block] = differences[block].transpose(1, 2, 3, 0)
    # diagonals[d, y] is pixels[y, d - y]. From one row to the next is a pixel less than a row.
    row, pixel, *rest = pixels.strides
    shape = (height + width + 1, height + 1, channels, count)
    diagonals = as_strided(pixels, shape, (pixel, row - pixel, *rest))
    averaging = bool(averages.any())
    for diagonal in range(2, height + width + 1):
        first, last = max(0, diagonal - 1 - width), min(height, diagonal - 1)
        a = diagonals[diagonal - 1, first + 1 : last + 1] & left[first:last]
        b = diagonals[diagonal - 1, first:last] & above[first:last]
        c = diagonals[diagonal - 2, first:last] & corner[first:last]
        predicted = _paeth(a, b, c)
        if averaging:
            predicted ^= (predicted ^ _average(a, b)) & averages[first:last]
        diagonals[diagonal, first + 1 : last + 1] += predicted
    images = np.empty((count, channels, height, width), np.uint8)
    for block in _blocks(count):
        images[block] = pixels[1:, 1:, :, block].transpose(3, 2, 0, 1)
    return images


def _paeth(a: Bytes, b: Bytes, c: Bytes) -> Bytes:
    """Which of left a, above b and corner c is nearest to p = a + b - c; of equally near ones a or b, then c.

    Without leaving 8 bits. Where c is not between a and b, the one of these is nearest that is further from c, as if c
    were the other one. Else with c = low + u = high - v, p is u from high, v from low and |u - v| from c.
    """
    low, high = np.minimum(a, b), np.maximum(a, b)
    c = np.minimum(np.maximum(c, low), high)
    u, v = c - low, high - c
    larger = np.maximum(u, v)
    to_high, to_low = u <= larger - u, v <= larger - v
    c += to_high.view(np.uint8) * v
    c -= to_low.view(np.uint8) * u
    return c


def _average(a: Bytes, b: Bytes) -> Bytes:
    """(a + b) // 2 without leaving 8 bits."""
    return (a & b) + ((a ^ b) >> 1)


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, count, _BLOCK))
