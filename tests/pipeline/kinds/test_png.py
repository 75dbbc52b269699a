"""The walk over a PNG's chunks: what it accepts is what the writer makes, and nothing near it."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.kinds.image import to_png
from pipeline.kinds.png import png_problem

SHAPES = [(1, 5, 4), (3, 5, 4), (4, 5, 4)]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def image(shape: tuple[int, ...]) -> bytes:
    return to_png(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


def saved(mode: str, size: tuple[int, int] = (4, 5), **options: object) -> bytes:
    sink = io.BytesIO()
    Image.new(mode, size).save(sink, "PNG", **options)
    return sink.getvalue()


WHOLE = image((1, 5, 4))
END = chunk(b"IEND", b"")


@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_writer_makes_is_whole(shape):
    assert png_problem(image(shape), shape) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_every_flipped_byte_is_found(shape):
    data = image(shape)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x10
        assert png_problem(bytes(changed), shape) is not None, place


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_every_cut_is_found(length):
    assert png_problem(WHOLE[:length], (1, 5, 4)) is not None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not a PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "not a PNG"),
        (saved("L", (7, 9)), "an image of 9x7, the manifest promises 5x4"),
        (saved("RGB"), "its pixels are 8-bit RGB, the manifest promises 8-bit grey"),
        (saved("I;16"), "its pixels are 16-bit grey"),
        (saved("1"), "its pixels are 1-bit grey"),
        (WHOLE[:8] + END, "does not begin with its header"),
        (WHOLE[:33] + END, "has no pixels"),
        (WHOLE[: -len(END)], "cut short at byte"),
        (WHOLE + b"more", "4 bytes follow the end"),
        (WHOLE[: -len(END)] + chunk(b"eXIf", b"turn it") + END, "has a chunk b'eXIf'"),
        (WHOLE[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 5, 8, 0, 0, 0, 1)) + WHOLE[33:], "interlaced"),
    ],
)
def test_anything_else_is_named(data, problem):
    assert problem in str(png_problem(data, (1, 5, 4)))
