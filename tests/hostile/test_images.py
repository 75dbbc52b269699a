"""Images that unpack to more than they say, or to something else for another reader; in both formats."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline.shards.rows import RowFormat
from schemas.registry import FORMATS

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def head(width: int = 4, height: int = 5, depth: int = 8, colours: int = 0, interlaced: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, interlaced))


def png(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def saved(mode: str = "L", size: tuple[int, int] = (4, 5), format: str = "PNG", **options) -> bytes:
    sink = io.BytesIO()
    Image.new(mode, size).save(sink, format, **options)
    return sink.getvalue()


def exif() -> bytes:
    tags = Image.Exif()
    tags[0x0112] = 3
    return tags.tobytes()


ZEROS = zlib.compress(bytes(2**24))
PIXELS = chunk(b"IDAT", zlib.compress(bytes(25)))
IMAGES = {
    "bomb": (
        png(head(60_000, 60_000), chunk(b"IDAT", ZEROS)),
        "s1: an image of 60000x60000, the manifest promises 5x4",
    ),
    "second header is a bomb": (
        png(head(), head(60_000, 60_000), chunk(b"IDAT", ZEROS)),
        "s1: (broken image|a PNG with)",
    ),
    "second header is larger": (png(head(), head(64, 64), chunk(b"IDAT", ZEROS)), "s1: a PNG with two headers"),
    "more pixels than promised": (png(head(), chunk(b"IDAT", ZEROS)), None),
    "colour profile is a bomb": (png(head(), chunk(b"iCCP", b"x\0\0" + ZEROS), PIXELS), None),
    "text is a bomb": (png(head(), chunk(b"zTXt", b"x\0\0" + ZEROS), PIXELS), "s1: broken image"),
    "many texts": (png(head(), *[chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**17)))] * 100, PIXELS), None),
    "16 bits": (png(head(depth=16), PIXELS), "s1: its pixels are 16-bit grey, the manifest promises 8-bit grey"),
    "palette": (saved("P"), "s1: its pixels are 1-bit palette"),
    "colour": (saved("RGB"), "s1: its pixels are 8-bit RGB"),
    "two frames": (
        saved(save_all=True, append_images=[Image.new("L", (4, 5), 1)]),
        "s1: a PNG with more than one frame",
    ),
    "turned": (saved(exif=exif()), "s1: a PNG with EXIF data"),
    "turned afterwards": (png(head(), PIXELS, chunk(b"eXIf", exif()[6:])), "s1: a PNG with EXIF data"),
    "no size": (png(head(0, 0)), "s1: an image of 0x0"),
    "no pixels": (png(head()), "s1: broken image"),
    "cut": (saved()[:-20], "s1: broken image"),
    "cut in its header": (saved()[:20], "s1: the PNG does not begin with its header"),
    "damaged in its header": (saved()[:29] + b"\0\0\0\0" + saved()[33:], "s1: the PNG is damaged: wrong CRC"),
    "interlaced": (png(head(interlaced=1), PIXELS), "s1: the PNG is interlaced"),
    "another format": (saved(format="GIF"), "s1: not a PNG"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n", "s1: not a PNG"),
}


@pytest.mark.parametrize("format", FORMATS.names)
@pytest.mark.parametrize(("image", "error"), IMAGES.values(), ids=IMAGES)
def test_images(
    attack: Callable, dataset: Callable, table: pa.Table, form: RowFormat, format: str, image: bytes, error: str | None
) -> None:
    images = table["image"].to_pylist()
    images[1]["bytes"] = image
    column = pa.array(images, table.schema.field("image").type)
    shard = FORMATS.build(format).write(table.set_column(1, table.schema.field("image"), column), form)
    attack(dataset(format, shard), error)


def test_a_table_of_noise_as_images(attack: Callable, dataset: Callable, table: pa.Table, form: RowFormat) -> None:
    generator = np.random.default_rng(0)
    images = [{"bytes": generator.bytes(100), "path": "../../x"} for _ in range(4)]
    column = pa.array(images, table.schema.field("image").type)
    shard = FORMATS.build("parquet").write(table.set_column(1, table.schema.field("image"), column), form)
    attack(dataset("parquet", shard), "s0: not a PNG")
