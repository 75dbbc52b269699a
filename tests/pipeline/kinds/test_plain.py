"""Many PNGs read at once: the same pixels as Pillow's, and whatever leaves a doubt is left to Pillow."""

from __future__ import annotations

import re
import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.kinds.base import tried
from pipeline.kinds.image import IMAGE_TYPE, ImageKind, to_png
from pipeline.kinds.plain import read_plain
from schemas.errors import RowError, SampleError

MANY = 40
"""Of one file: fewer are left to Pillow anyway."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = {1: 0, 3: 2, 4: 6}
SHAPE = (1, 5, 4)


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def head(shape: tuple[int, ...], depth: int = 8, colours: int | None = None, interlaced: int = 0) -> bytes:
    channels, height, width = shape
    colours = COLOURS[channels] if colours is None else colours
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, interlaced))


def png(shape: tuple[int, ...], *chunks: bytes) -> bytes:
    return SIGNATURE + head(shape) + b"".join(chunks) + chunk(b"IEND")


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data as IDAT chunks that begin at these places."""
    edges = [0, *sorted({place % len(data) for place in places} - {0}), len(data)]
    return [chunk(b"IDAT", data[start:end]) for start, end in pairwise(edges)]


@st.composite
def rasters(draw: st.DrawFn, filters: int = 5) -> tuple[tuple[int, ...], bytes]:
    """A shape, and the rows of an image with filters of all kinds."""
    shape = draw(st.tuples(st.sampled_from([1, 3, 4]), st.integers(1, 7), st.integers(1, 7)))
    channels, height, width = shape
    rows = draw(hnp.arrays(np.uint8, (height, 1 + width * channels)))
    rows[:, 0] = draw(hnp.arrays(np.uint8, height, elements=st.integers(0, filters - 1)))
    return shape, rows.tobytes()


def packed(data: bytes, level: int = 6, window: int = 15) -> bytes:
    packer = zlib.compressobj(level, wbits=window)
    return packer.compress(data) + packer.flush()


def read(files: Sequence[object], shape: tuple[int, ...]) -> dict[int, np.ndarray]:
    return {
        number: image
        for numbers, images in read_plain(files, shape)
        for number, image in zip(numbers.tolist(), images, strict=True)
    }


def one_by_one(files: Sequence[object]) -> list[np.ndarray | SampleError]:
    return [tried(ImageKind().decode, file) for file in files]


def require_same(found: Sequence[object], wanted: Sequence[object]) -> None:
    """The same pixels, and the same reasons for what has none."""
    assert [str(one) for one in found if isinstance(one, SampleError)] == [
        str(one) for one in wanted if isinstance(one, SampleError)
    ]
    for one, other in zip(found, wanted, strict=True):
        assert type(one) is type(other)
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            assert one.dtype == other.dtype and np.array_equal(one, other)


@settings(deadline=None)
@given(rasters(), st.integers(0, 9), st.integers(9, 15), st.lists(st.integers(0, 1000), max_size=4))
def test_plain_images_are_read_as_by_pillow(
    given: tuple[tuple[int, ...], bytes], level: int, window: int, places: list[int]
) -> None:
    shape, rows = given
    file = png(shape, *cut(packed(rows, level, window), places))
    found = read([file] * MANY, shape)
    assert sorted(found) == list(range(MANY))
    assert np.array_equal(found[0], ImageKind().decode(file))
    assert all(np.array_equal(image, found[0]) for image in found.values())


@settings(deadline=None)
@given(st.sampled_from(["L", "RGB", "RGBA"]), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_what_pillow_writes_is_read(mode: str, height: int, width: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    shape = ({"L": 1, "RGB": 3, "RGBA": 4}[mode], height, width)
    # Walks, so that there is something to gain from every filter.
    steps = generator.integers(-9, 10, (MANY, *shape)).cumsum(axis=int(generator.integers(1, 4)))
    images = (steps % 256).astype(np.uint8)
    found = read([to_png(image) for image in images], shape)
    assert sorted(found) == list(range(MANY))
    assert all(np.array_equal(found[number], images[number]) for number in found)


ANCILLARY = [
    chunk(b"tRNS", bytes(6)),
    chunk(b"tRNS", bytes(2)),
    chunk(b"gAMA", struct.pack(">I", 45455)),
    chunk(b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
    chunk(b"acTL", struct.pack(">II", 2, 0)),
    chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 4, 5, 0, 0, 1, 1, 0, 0)),
    chunk(b"PLTE", bytes(6)),
    chunk(b"tEXt", b"Title\0x"),
    chunk(b"zTXt", b"Title\0\0" + zlib.compress(b"x")),
    chunk(b"pHYs", struct.pack(">IIB", 1, 1, 0)),
    chunk(b"xxxx", b"of another program"),
    chunk(b"XXXX", b"that nobody may leave out"),
    chunk(b"IDAT"),
    head((1, 9, 9)),
    chunk(b"IEND"),
]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[tuple[int, ...], bytes]:
    """Files of which most are broken, or more than plain, in one or two ways."""
    shape, rows = draw(rasters(filters=draw(st.sampled_from([5, 5, 6, 256]))))
    rows += draw(st.sampled_from([b"", b"", b"\0", bytes(5000)]))
    rows = rows[: len(rows) - draw(st.sampled_from([0, 0, 1, 7]))]
    stream = bytearray(packed(rows, draw(st.integers(0, 9))) + draw(st.sampled_from([b"", b"", b"\0", packed(b"x")])))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=2)):
        stream[place % len(stream)] = value
    stream = stream[: len(stream) - draw(st.sampled_from([0, 0, 1, 4, 9]))]
    assume(stream)
    chunks = cut(bytes(stream), draw(st.lists(st.integers(0, 1000), max_size=3)))
    for extra in draw(st.lists(st.sampled_from(ANCILLARY), max_size=2)):
        chunks.insert(draw(st.integers(0, len(chunks))), extra)
    file = bytearray(png(shape, *chunks) + draw(st.sampled_from([b"", b"", b"more", chunk(b"IEND")])))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=2)):
        file[place % len(file)] = value
    return shape, bytes(file[: len(file) - draw(st.sampled_from([0, 0, 0, 1, 12, 20]))])


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=500)
@given(damaged())
def test_nothing_is_read_that_pillow_refuses_or_sees_differently(given: tuple[tuple[int, ...], bytes]) -> None:
    shape, file = given
    wanted = tried(ImageKind().decode, file)
    for image in read([file] * MANY, shape).values():
        assert isinstance(wanted, np.ndarray) and np.array_equal(image, wanted)


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None)
@given(st.lists(damaged(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_a_source_gives_the_same_images_and_reasons(given: list[tuple[tuple[int, ...], bytes]], random) -> None:
    shape, whole = SHAPE, to_png(np.arange(20, dtype=np.uint8).reshape(SHAPE))
    files: list[object] = [whole] * MANY + [file for _, file in given]
    files += [None, bytearray(whole), SampleError("no such file"), np.zeros((5, 4), np.uint8)]
    random.shuffle(files)
    require_same(list(ImageKind().decode_all(files, shape)), one_by_one(files))
    require_same(list(ImageKind().decode_all(files[:5], shape)), one_by_one(files[:5]))


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None)
@given(damaged(), st.integers(0, MANY))
def test_a_data_set_gives_the_same_images_and_reasons(given: tuple[tuple[int, ...], bytes], place: int) -> None:
    shape, file = given
    whole = to_png(np.zeros(shape, np.uint8))

    def read_all(files: list[bytes]) -> np.ndarray | str:
        column = pa.array([{"bytes": one, "path": None} for one in files], IMAGE_TYPE)
        try:
            return ImageKind().from_columns(pa.record_batch({"image": column}), shape)
        except RowError as error:
            return re.sub("0x[0-9a-f]+", "", error.reason)  # Pillow names the object that it reads from

    alone = read_all([file])  # too few to be read together
    among = read_all([*[whole] * place, file, *[whole] * (MANY - place)])
    if isinstance(alone, str):
        assert among == alone
    else:
        assert np.array_equal(among[place], alone[0]) and not among[:place].any() and not among[place + 1 :].any()


@pytest.mark.parametrize("extra", ANCILLARY)
@pytest.mark.parametrize("first", [True, False])
def test_whatever_else_is_in_a_file_is_for_pillow(extra: bytes, first: bool) -> None:
    pixels = chunk(b"IDAT", packed(bytes(25)))
    file = png(SHAPE, *([extra, pixels] if first else [pixels, extra]))
    assert not read([file] * MANY, SHAPE)


PLAIN = png(SHAPE, chunk(b"IDAT", packed(bytes(25))))


@pytest.mark.parametrize(
    "file",
    [
        b"",
        None,
        "text",
        PLAIN[:33],
        PLAIN[:33] + PLAIN[-12:],
        PLAIN + b"\0",
        PLAIN[:-1],
        PLAIN[:-16] + b"\0\0\0\0" + PLAIN[-12:],
        png(SHAPE, chunk(b"IDAT", packed(bytes(24)))),
        png(SHAPE, chunk(b"IDAT", packed(bytes(26)))),
        png(SHAPE, chunk(b"IDAT", packed(bytes(25)) + b"\0")),
        png(SHAPE, chunk(b"IDAT", packed(bytes(25))[:-1])),
        png(SHAPE, chunk(b"IDAT", zlib.compress(bytes(25), wbits=-15))),
        png(SHAPE, chunk(b"IDAT", zlib.compress(bytes(25), wbits=31))),
        png(SHAPE, chunk(b"IDAT", packed(bytes(24 - 4) + b"\x05" + bytes(4)))),
        SIGNATURE + head(SHAPE, interlaced=1) + chunk(b"IDAT", packed(bytes(25))) + chunk(b"IEND"),
        SIGNATURE + head(SHAPE, depth=16) + chunk(b"IDAT", packed(bytes(25))) + chunk(b"IEND"),
        SIGNATURE + head(SHAPE, colours=3) + chunk(b"IDAT", packed(bytes(25))) + chunk(b"IEND"),
        png((1, 4, 5), chunk(b"IDAT", packed(bytes(24)))),
    ],
)
def test_doubts(file: object) -> None:
    assert not read([file] * MANY, SHAPE)
    mixed = read([PLAIN, file] * MANY, SHAPE)
    assert sorted(mixed) == list(range(0, 2 * MANY, 2))


def test_few_files_and_large_images_are_for_pillow() -> None:
    assert not read([PLAIN] * 3, SHAPE)
    large = to_png(np.zeros((3, 200, 200), np.uint8))
    assert not read([large] * MANY, (3, 200, 200))


def test_more_than_are_unfiltered_at_once() -> None:
    images = np.random.default_rng(0).integers(0, 256, (150, 3, 140, 150), np.uint8)
    found = read([to_png(image) for image in images], images.shape[1:])
    assert sorted(found) == list(range(150))
    assert all(np.array_equal(found[number], images[number]) for number in found)


def test_what_would_unpack_to_more_is_not_unpacked() -> None:
    bomb = png(SHAPE, chunk(b"IDAT", zlib.compress(bytes(2**26))))
    tracemalloc.start()
    assert not read([bomb] * MANY, SHAPE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_others_are_decoded_when_their_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops at one that is too large for the others has not decoded all that follow it."""
    kind, seen = ImageKind(), []
    monkeypatch.setattr(kind, "decode", seen.append)
    decoded = kind.decode_all([PLAIN + b"1", PLAIN + b"2", *[PLAIN] * MANY], SHAPE)
    next(decoded)
    assert seen == [PLAIN + b"1"]
