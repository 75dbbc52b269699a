"""The filters of PNG, against the words of its specification, pixel by pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.kinds.unfilter import FILTERS, unfilter


def paeth(a: int, b: int, c: int) -> int:
    return min((a, b, c), key=lambda near: abs(a + b - c - near))


PREDICTORS = [
    lambda a, b, c: 0,
    lambda a, b, c: a,
    lambda a, b, c: b,
    lambda a, b, c: (a + b) // 2,
    paeth,
]


def as_specified(raster: np.ndarray, channels: int) -> np.ndarray:
    """uint8 (C, H, W) of one raster (H, 1 + W * C)."""
    height, width = raster.shape[0], (raster.shape[1] - 1) // channels
    pixels = np.zeros((height + 1, width + 1, channels), int)
    for y, x, k in np.ndindex(height, width, channels):
        a, b, c = (int(pixels[y + dy, x + dx, k]) for dy, dx in ((1, 0), (0, 1), (0, 0)))
        difference = int(raster[y, 1 + x * channels + k])
        pixels[y + 1, x + 1, k] = (difference + PREDICTORS[raster[y, 0]](a, b, c)) % 256
    return pixels[1:, 1:].transpose(2, 0, 1)


@st.composite
def rasters(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """uint8 (N, H, 1 + W * C), and C."""
    channels = draw(st.sampled_from([1, 3, 4]))
    count, height, width = (draw(st.integers(1, most)) for most in (4, 6, 6))
    values = draw(hnp.arrays(np.uint8, (count, height, 1 + width * channels)))
    values[:, :, 0] = draw(hnp.arrays(np.uint8, (count, height), elements=st.integers(0, FILTERS - 1)))
    return values, channels


@given(rasters())
def test_every_filter_is_undone(given: tuple[np.ndarray, int]) -> None:
    values, channels = given
    before = values.copy()
    wanted = np.stack([as_specified(raster, channels) for raster in values])
    found = unfilter(values, channels)
    assert found.dtype == np.uint8 and np.array_equal(found, wanted)
    assert np.array_equal(values, before)


def test_paeth_of_all_neighbours() -> None:
    """Images of 2x2, of which the last pixel is what Paeth predicts from the other three."""
    b, c = (axis.ravel() for axis in np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 2))
    for a in range(0, 256, 5):
        values = np.zeros((len(b), 2, 3), np.uint8)
        values[:, 0, 1], values[:, 0, 2] = c, b
        # Of the first pixel in the second row only the one above is there, so that it is what Paeth predicts.
        values[:, 1, 0], values[:, 1, 1] = 4, a - c
        p = a + b.astype(int) - c
        distances = np.stack([np.abs(p - near) for near in (np.full_like(p, a), b, c)])
        wanted = np.choose(distances.argmin(axis=0), [np.full_like(b, a), b, c])
        assert np.array_equal(unfilter(values, 1)[:, 0, 1, 1], wanted)


def test_many_images_at_once() -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(0, 256, (300, 9, 1 + 7 * 3), np.uint8)
    values[:, :, 0] %= FILTERS
    found = unfilter(values, 3)
    for number in (0, 127, 128, 299):
        assert np.array_equal(found[number], as_specified(values[number], 3))
