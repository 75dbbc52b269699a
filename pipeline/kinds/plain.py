"""The pixels of many PNGs at once: of those that hold nothing but pixels, as our own and most others do.

For each file Pillow takes some 30 µs to find out what it is, and then undoes the filters of its rows byte by byte. Here
each file is unpacked, and the filters of all are undone together. What leaves any doubt is left to Pillow, which
knows what it is, or says what is wrong with it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.kinds.png import END, plain_header
from pipeline.kinds.unfilter import FILTERS, unfilter

_LARGEST = 2**16
"""Bytes of one image, at most: the larger it is, the less there is to gain, and Pillow's own zlib is a faster one."""
_TOGETHER = 2**23
"""Bytes of images whose filters are undone together, at most."""
_FEWEST = 32
"""Images for which that pays."""
_FRAME = struct.Struct(">I4s")
_SUM = struct.Struct(">I")


def read_plain(
    files: Sequence[Any], shape: tuple[int, ...]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]]:
    """Those images that are sure to be as Pillow would decode them.

    Args:
        files: any number of them; what is not `bytes` is left out.
        shape: (C, H, W) of the images; PNGs of others are left out.

    Yields:
        For M of the files their numbers, int64 (M,), and their images, uint8 (M, C, H, W).
    """
    channels, height, width = shape
    row = 1 + width * channels
    size = height * row
    if len(files) < _FEWEST or not height * width or size > _LARGEST:
        return
    header, pieces = plain_header(shape), -(-len(files) * size // _TOGETHER)
    for piece in range(pieces):
        start, stop = (len(files) * edge // pieces for edge in (piece, piece + 1))
        unpacked = [_unpacked(file, header, size) for file in files[start:stop]]
        numbers = np.array([start + number for number, rows in enumerate(unpacked) if rows], np.int64)
        rasters = np.frombuffer(b"".join(filter(None, unpacked)), np.uint8).reshape(-1, height, row)
        known = (rasters[:, :, 0] < FILTERS).all(axis=1)
        if known.sum() >= _FEWEST:
            yield numbers[known], unfilter(rasters[known], channels)


def _unpacked(file: Any, header: bytes, size: int) -> bytes | None:
    """The rows of an image with their filters, `size` bytes; None unless the file is a whole PNG of this header."""
    if not isinstance(file, bytes) or not file.startswith(header) or not file.endswith(END):
        return None
    packed = _packed(memoryview(file), len(header), len(file) - len(END))
    if packed is None:
        return None
    unpacker = zlib.decompressobj()
    try:
        # A byte more than wanted, to see that it ends there, and no more, whatever it would unpack to.
        rows = unpacker.decompress(packed, size + 1)
    except zlib.error:
        return None
    return rows if len(rows) == size and unpacker.eof and not unpacker.unused_data else None


def _packed(file: memoryview, start: int, end: int) -> bytes | memoryview | None:
    """What the chunks from `start` to `end` hold together; None unless all are pixels, and undamaged."""
    pieces = []
    while start < end:
        length, name = _FRAME.unpack_from(file, start)
        next_ = start + length + 12
        if name != b"IDAT" or not length or next_ > end:
            return None
        if _SUM.unpack_from(file, next_ - 4)[0] != zlib.crc32(file[start + 4 : next_ - 4]):
            return None
        pieces.append(file[start + 8 : next_ - 4])
        start = next_
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
