"""Images in a terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli.show_image import COLUMNS, half_blocks, print_images


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


@pytest.mark.parametrize("width", [20, 60, 77, 200])
def test_two_images_fit_beside_each_other(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    family: Any = [SimpleNamespace(files={"png": png(np.zeros((40, 40), np.uint8))}, origin="auxiliary")] * 2
    print_images(family)
    rows = [line for line in capsys.readouterr().out.splitlines() if "▀" in line]
    image = len(rows[0].split()[0])
    assert len(rows) == -(-image // 2) and all(row.split() == ["▀" * image] * 2 for row in rows)
    assert image == COLUMNS or 2 * image > width - 12
