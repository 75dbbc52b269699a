"""Is a file a PNG of the promised form? Its chunks are checked at the speed of their CRC, nothing is unpacked."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = {1: 0, 3: 2, 4: 6}
"""Channels -> colour type."""

_NAMES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}
_FRAME = struct.Struct(">I4s")
_BEGIN = len(_SIGNATURE)

END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
"""The chunk that ends every PNG."""


def header_problem(data: bytes | None, shape: tuple[int, ...]) -> str | None:
    """What is wrong with the first bytes of a PNG of uint8 (C, H, W), None where nothing is.

    Checks the signature, and size, colours and depth against `shape`.
    """
    if data is None:
        return "has no image"
    return None if data.startswith(plain_header(shape)) else _other_header(data, shape)


def png_problem(data: bytes | None, shape: tuple[int, ...]) -> str | None:
    """What is wrong with a PNG of uint8 (C, H, W), None where nothing is.

    Checks its header, the CRC of every chunk, and that IEND ends the file.
    """
    problem = header_problem(data, shape)
    if data is None or problem is not None:
        return problem
    view, position, pixels = memoryview(data), len(plain_header(shape)), False
    while position + 12 <= len(data):
        length, name = _FRAME.unpack_from(data, position)
        end = position + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            return f"the PNG is damaged: wrong CRC in the chunk at byte {position}"
        if name == b"IEND":
            if end < len(data):
                return f"{len(data) - end} bytes follow the end of the PNG"
            return None if pixels else "the PNG has no pixels"
        if name != b"IDAT":
            return f"the PNG has a chunk {name!r}, which may change what readers see"
        pixels, position = True, end
    return f"the PNG is cut short at byte {len(data)}"


@lru_cache(16)
def plain_header(shape: tuple[int, ...]) -> bytes:
    """Signature and IHDR of what the writer makes: 8 bits, not interlaced."""
    channels, height, width = shape
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    return _SIGNATURE + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def _other_header(data: bytes, shape: tuple[int, ...]) -> str:
    """What differs from the signature and IHDR of such an image."""
    header = data[: len(plain_header(shape))]
    if not header.startswith(_SIGNATURE):
        return "not a PNG"
    if len(header) < len(plain_header(shape)) or _FRAME.unpack_from(header, _BEGIN) != (13, b"IHDR"):
        return "the PNG does not begin with its header"
    if zlib.crc32(header[_BEGIN + 4 : -4]) != int.from_bytes(header[-4:], "big"):
        return "the PNG is damaged: wrong CRC in its header"
    width, height, depth, colours = struct.unpack_from(">IIBB", header, _BEGIN + 8)
    channels, *size = shape
    if [height, width] != size:
        return f"an image of {height}x{width}, the manifest promises {size[0]}x{size[1]}"
    if (depth, colours) != (8, _COLOURS[channels]):
        found = f"{depth}-bit {_NAMES.get(colours, f'colour type {colours}')}"
        return f"its pixels are {found}, the manifest promises 8-bit {_NAMES[_COLOURS[channels]]}"
    return "the PNG is interlaced, or packed in an unknown way"
