"""The contact sheet: of any mode and size, in bounded pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.card.examples import Example, Seen
from pipeline.card.sheet import TILE, contact_sheet


def example(shape: tuple[int, int, int], parent: bool = True) -> Example:
    random = np.random.default_rng(0)
    first, second = (random.integers(0, 256, shape, np.uint8) for _ in range(2))
    return Example("a+r01", 1, 1.0, 2.0, Seen(first, "cat"), Seen(second, "dog") if parent else None)


def sheet(examples: list[Example]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(contact_sheet(examples))))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_small_images_stay_sharp(channels: int) -> None:
    one = example((channels, 4, 8))
    pixels = sheet([one])
    assert pixels.shape == (TILE // 2, 3 * TILE + 8, 3)
    colours = one.sample.stored[:3] if channels > 1 else one.sample.stored.repeat(3, axis=0)
    assert (pixels[6::12, TILE + 4 + 6 : 2 * TILE + 4 : 12] == colours.transpose(1, 2, 0)).all()


@pytest.mark.parametrize("shape", [(3, 1000, 500), (1, 1, 5000), (3, 97, 96)])
def test_large_images_become_small(shape: tuple[int, int, int]) -> None:
    height, width = sheet([example(shape)] * 2).shape[:2]
    assert height <= 2 * TILE + 4 and width <= 3 * TILE + 8


def test_without_parents_there_is_one_column() -> None:
    assert sheet([example((1, 8, 8), parent=False)]).shape == (TILE, TILE, 3)


def test_the_same_bytes_each_time() -> None:
    assert contact_sheet([example((3, 200, 100))]) == contact_sheet([example((3, 200, 100))])
