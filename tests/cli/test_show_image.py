"""Images in a terminal."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cli.show_image import COLUMNS, half_blocks


def png(pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def test_a_line_has_the_colours_of_two_rows() -> None:
    pixels = np.array([[[255, 0, 0]], [[0, 255, 0]], [[0, 0, 255]]], np.uint8)
    text = half_blocks(png(pixels))
    assert text.plain == "▀\n▀"
    first, second = (span.style for span in text.spans)
    assert [first.color.triplet, first.bgcolor.triplet] == [(255, 0, 0), (0, 255, 0)]
    assert [second.color.triplet, second.bgcolor] == [(0, 0, 255), None]


@pytest.mark.parametrize("shape", [(300, 200), (1, 500), (500, 1), (28, 28, 3), (28, 28, 4)])
def test_every_image_fits(shape: tuple[int, ...]) -> None:
    lines = half_blocks(png(np.zeros(shape, np.uint8))).plain.split("\n")
    assert max(map(len, lines)) <= COLUMNS and len(lines) <= COLUMNS // 2
