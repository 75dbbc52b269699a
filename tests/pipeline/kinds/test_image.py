"""Images survive storage unchanged, and whatever cannot be stored says so."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from pipeline.kinds.image import IMAGE_TYPE, ImageKind, to_png
from schemas.errors import SampleError

shapes = st.tuples(st.sampled_from([1, 3, 4]), st.integers(1, 9), st.integers(1, 9))
images = shapes.flatmap(lambda shape: hnp.arrays(np.uint8, shape))


def encoded(mode: str, format: str = "PNG", size: tuple[int, int] = (5, 4), **options: object) -> bytes:
    """Bytes of a small image with some structure; `size` is (width, height)."""
    width, height = size
    pixels = np.arange(width * height, dtype=np.uint8).reshape(height, width) * 3
    sink = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").convert(mode).save(sink, format, **options)
    return sink.getvalue()


def png_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file made by hand, for what Pillow does not write."""
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def png_header(width: int, height: int, depth: int, color: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)


@given(images)
def test_storing_changes_nothing(stored: np.ndarray) -> None:
    kind = ImageKind()
    decoded = kind.decode(to_png(stored))
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, stored)
    assert to_png(stored) == to_png(stored.copy())


def test_every_level_survives_the_way_through_a_model() -> None:
    kind = ImageKind()
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    inputs = kind.to_inputs(levels)
    assert inputs.dtype == torch.float32
    assert (inputs.min().item(), inputs.max().item()) == (0.0, 1.0)
    assert np.array_equal(kind.to_stored(inputs), levels)
    assert torch.equal(kind.to_inputs(torch.from_numpy(levels)), inputs)


def test_inputs_are_rounded_and_clipped() -> None:
    inputs = torch.tensor([-0.5, 0.0019, 0.002, 0.5, 0.999, 1.7]).view(1, 1, 1, 6)
    assert ImageKind().to_stored(inputs).ravel().tolist() == [0, 0, 1, 128, 255, 255]


def test_png_has_no_metadata() -> None:
    data = to_png(np.zeros((3, 4, 4), np.uint8))
    names, position = [], 8
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        names.append(data[position + 4 : position + 8])
        position += length + 12
    assert set(names) == {b"IHDR", b"IDAT", b"IEND"}


@pytest.mark.parametrize(
    ("mode", "format", "channels"),
    [
        ("1", "PNG", 1),
        ("L", "PNG", 1),
        ("LA", "PNG", 4),
        ("RGB", "PNG", 3),
        ("RGBA", "PNG", 4),
        ("P", "PNG", 3),
        ("L", "JPEG", 1),
        ("RGB", "JPEG", 3),
        ("CMYK", "JPEG", 3),
        ("YCbCr", "JPEG", 3),
        ("RGB", "WEBP", 3),
        ("RGB", "BMP", 3),
        ("P", "GIF", 3),
        ("RGB", "TIFF", 3),
        ("L", "PPM", 1),
    ],
)
def test_modes_become_the_nearest_of_three(mode: str, format: str, channels: int) -> None:
    assert ImageKind().decode(encoded(mode, format)).shape == (channels, 4, 5)


def test_palette_with_transparency_keeps_it() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((1, 0), 1)
    sink = io.BytesIO()
    image.save(sink, "PNG", transparency=0)
    assert ImageKind().decode(sink.getvalue())[:, 0].T.tolist() == [[0, 0, 0, 0], [255, 0, 0, 255]]


@pytest.mark.parametrize("source", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_mode_converts_every_image(source: str, mode: str, channels: int) -> None:
    assert ImageKind(mode=mode).decode(encoded(source)).shape == (channels, 4, 5)


def test_size_is_height_then_width() -> None:
    assert ImageKind(size=(7, 3)).decode(encoded("RGB")).shape == (3, 7, 3)
    assert ImageKind(size=(7, 3)).decode(np.zeros((4, 5), np.uint8)).shape == (1, 7, 3)


def test_shrinking_averages() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = ImageKind(size=(8, 8)).decode(board)
    assert small.min() > 110
    assert small.max() < 145


def test_equal_size_is_left_alone() -> None:
    data = encoded("RGB")
    assert np.array_equal(ImageKind(size=(4, 5)).decode(data), ImageKind().decode(data))


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert ImageKind().decode(encoded("RGB", "JPEG", exif=exif.tobytes())).shape == (3, 5, 4)


@pytest.mark.parametrize(
    ("shape", "stored"),
    [
        ((4, 5), (1, 4, 5)),
        ((4, 5, 1), (1, 4, 5)),
        ((4, 5, 3), (3, 4, 5)),
        ((4, 5, 4), (4, 4, 5)),
        ((3, 4, 5), (3, 4, 5)),
        ((1, 8, 8), (1, 8, 8)),
    ],
)
def test_pixels_are_taken_as_they_are(shape: tuple[int, ...], stored: tuple[int, ...]) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    decoded = ImageKind().decode(pixels)
    assert decoded.shape == stored
    assert sorted(decoded.ravel()) == sorted(pixels.ravel())


deep_rgb = png_chunks(
    png_header(1, 1, 16, 2), (b"IDAT", zlib.compress(b"\0" + bytes([1, 2, 3, 4, 5, 6]))), (b"IEND", b"")
)
bomb = png_chunks(png_header(60_000, 60_000, 8, 0), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
tiff = io.BytesIO()
Image.new("F", (2, 2)).save(tiff, "TIFF")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not an image"),
        (b"hello", "not an image"),
        (postscript, "not an image"),
        (encoded("RGB", size=(64, 64))[:100], "broken image"),
        (encoded("RGB", "JPEG", size=(64, 64))[:700], "broken image"),
        (encoded("I;16"), "16-bit"),
        (deep_rgb, "16-bit"),
        (tiff.getvalue(), "16-bit or float"),
        (bomb, "pixels"),
        (np.zeros((4, 5), np.float32), "float32 pixels"),
        (np.zeros((6, 5, 2), np.uint8), r"shape \(6, 5, 2\)"),
        (np.zeros((0, 5), np.uint8), r"shape \(0, 5\)"),
        (np.zeros(5, np.uint8), r"shape \(5,\)"),
        (None, "NoneType"),
        (SampleError("no such file: x.png"), "no such file"),
    ],
)
def test_what_cannot_be_stored_says_so(payload: object, reason: str) -> None:
    with pytest.raises(SampleError, match=reason):
        ImageKind().decode(payload)


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None)
@given(
    st.sampled_from(
        [encoded("RGB"), encoded("P"), encoded("RGB", "JPEG"), encoded("P", "GIF"), encoded("RGB", "TIFF")]
    ),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_damage_never_escapes_as_another_error(data: bytes, edits: list[tuple[int, int]]) -> None:
    broken = bytearray(data)
    for position, value in edits:
        broken[position % len(broken)] = value
    try:
        stored = ImageKind(size=(4, 4)).decode(bytes(broken))
    except SampleError:
        return
    assert stored.dtype == np.uint8
    assert stored.shape[1:] == (4, 4)


def test_description_is_height_by_width() -> None:
    assert ImageKind().describe((3, 28, 32)) == "28x32 RGB"


def test_column_holds_png_files_under_the_samples_names() -> None:
    stored = np.arange(2 * 12, dtype=np.uint8).reshape(2, 1, 3, 4)
    column = ImageKind().to_columns(["a", "b"], stored, (1, 3, 4))["image"]
    assert {"image": column.type} == ImageKind().arrow_types((1, 3, 4))
    assert column[1].as_py() == {"bytes": to_png(stored[1]), "path": "b.png"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no", "row 1: not a PNG"),
        (None, "row 1: has no image"),
        (encoded("L", size=(9, 9)), "row 1: an image of 9x9, the manifest promises 4x5"),
    ],
)
def test_a_broken_row_is_named(data: bytes | None, reason: str) -> None:
    column = pa.array([{"bytes": encoded("L"), "path": None}, {"bytes": data, "path": None}], IMAGE_TYPE)
    with pytest.raises(SampleError, match=reason):
        ImageKind().from_columns(pa.record_batch({"image": column}), (1, 4, 5))


def test_problems_are_seen_without_decoding() -> None:
    whole = {"bytes": encoded("L"), "path": "a.png"}
    rows = [whole, None, {**whole, "path": "../x"}, {"bytes": None, "path": "d.png"}, None]
    rows[4] = {"bytes": encoded("L")[:-1], "path": "e.png"}
    column = pa.array(rows, IMAGE_TYPE)
    found = dict(ImageKind().problems(pa.record_batch({"key": list("abcde"), "image": column}), (1, 4, 5)))
    assert sorted(found) == [2, 3, 4]
    assert "must be KEY.png" in found[2] and found[3] == "has no image" and "cut short" in found[4]
