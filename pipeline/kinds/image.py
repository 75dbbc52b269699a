"""Images: uint8 pixels as they are stored, [0, 1] as a model's caller sees them."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.kinds.base import Arrays, Members, Stored, tried
from pipeline.kinds.plain import read_plain
from pipeline.kinds.png import header_problem, png_problem
from pipeline.lazy import torch
from schemas.errors import RowError, SampleError

MAX_PIXELS = 178_956_970
"""An image that claims more is refused before it is decoded (Pillow's own limit against decompression bombs)."""

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""Of a column that Hugging Face `datasets` reads as `Image`."""

# Raster formats only: Pillow would also hand PostScript to an interpreter.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
# What Pillow's decoders raise on damaged files.
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, OverflowError, struct.error, zlib.error)
_ORIENTATION = 0x0112
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class ImageKind:
    """8-bit grey, RGB or RGBA images; stored as uint8 (C, H, W) with C = 1, 3 or 4.

    Args:
        mode: convert every image to L, RGB or RGBA; None keeps these three and converts others to the nearest.
        size: resize every image to (height, width); None keeps sizes.
    """

    column = "image"
    mined: Sequence[str] = ()
    features: Mapping[str, dict[str, Any]] = {"image": {"_type": "Image"}}
    dtype: np.dtype[Any] = np.dtype(np.uint8)
    natural_bounds: tuple[float, float] | None = (0.0, 1.0)

    def __init__(self, mode: str | None = None, size: tuple[int, int] | None = None) -> None:
        self.mode = mode
        self.size = size

    def decode(self, payload: Any) -> Stored:
        """Encoded bytes (PNG, JPEG, WebP, BMP, GIF, TIFF, PPM), or pixels as uint8 (H, W), (H, W, C) or (C, H, W).

        Raises:
            SampleError: the payload is damaged, too large, or not 8 bits per channel.
        """
        if isinstance(payload, SampleError):
            raise payload
        if isinstance(payload, bytes | bytearray | memoryview):
            return _to_stored(self._convert(_open(bytes(payload))))
        if isinstance(payload, np.ndarray):
            return _to_stored(self._convert(_from_pixels(payload)))
        raise SampleError(f"neither image bytes nor pixels, but {type(payload).__name__}")

    def decode_all(self, payloads: Sequence[Any], shape: tuple[int, ...]) -> Iterator[Stored | SampleError]:
        plain: dict[int, Stored] = {}
        for numbers, images in read_plain(payloads, shape):
            plain.update(zip(numbers.tolist(), images, strict=True))
        for number, payload in enumerate(payloads):
            yield plain[number] if number in plain else tried(self.decode, payload)

    def shape_of(self, sample: Stored) -> tuple[int, ...]:
        return sample.shape

    def stack(self, samples: Sequence[Stored]) -> Stored:
        return np.stack(samples)

    def to_inputs(self, stored: Stored | torch.Tensor) -> torch.Tensor:
        """uint8 (N, C, H, W) -> float32 in [0, 1]."""
        pixels = stored if isinstance(stored, torch.Tensor) else torch.tensor(stored)
        return pixels.to(torch.float32) / 255

    def to_stored(self, inputs: torch.Tensor) -> Stored:
        """float (N, C, H, W) -> the nearest uint8; what lies outside [0, 1] is clipped."""
        levels = inputs.detach().float().clamp(0, 1).mul(255).round()
        pixels: npt.NDArray[np.uint8] = levels.to(torch.uint8).cpu().numpy()
        return pixels

    def lengths(self, stored: Stored) -> None:
        return None

    def observe(self, stored: Stored) -> dict[str, list[float]]:
        return {}

    def blank(self, shape: tuple[int, ...]) -> Stored:
        return np.zeros((1, *shape), self.dtype)

    def arrow_types(self, shape: tuple[int, ...]) -> dict[str, pa.DataType]:
        return {self.column: IMAGE_TYPE}

    def to_columns(self, keys: Sequence[str], stored: Stored, shape: tuple[int, ...]) -> Arrays:
        return {self.column: _column(keys, [to_png(image) for image in stored])}

    def from_columns(self, batch: pa.RecordBatch, shape: tuple[int, ...]) -> Stored:
        stored = np.empty((batch.num_rows, *shape), self.dtype)
        files, left = batch[self.column].field("bytes").to_pylist(), np.ones(batch.num_rows, np.bool_)
        for rows, images in read_plain(files, shape):
            stored[rows], left[rows] = images, False
        for row in np.flatnonzero(left).tolist():
            try:
                stored[row] = _read_png(files[row], shape)
            except SampleError as error:
                raise RowError(row, str(error)) from None
        return stored

    def problems(self, batch: pa.RecordBatch, shape: tuple[int, ...]) -> Iterator[tuple[int, str]]:
        column = batch[self.column]
        # A reader may write the image under this name, which therefore is the key's.
        paths = column.field("path")
        different = pc.not_equal(paths, pc.binary_join_element_wise(batch["key"], "png", ".")).fill_null(False)
        for row in np.flatnonzero(pc.and_(different, column.is_valid())).tolist():
            yield row, f"its image has the path {paths[row].as_py()!r}, must be KEY.png"
        for row, data in enumerate(column.field("bytes").to_pylist()):
            problem = png_problem(data, shape)
            if problem is not None and column[row].is_valid:
                yield row, problem

    def extensions(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        return ("png",)

    def to_members(self, batch: pa.RecordBatch) -> Members:
        return {"png": batch[self.column].field("bytes").to_pylist()}

    def from_members(self, keys: Sequence[str], members: Members, shape: tuple[int, ...]) -> Arrays:
        return {self.column: _column(keys, members["png"])}

    def bytes_per_sample(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape)

    def values_per_sample(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape)

    def fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == 3 and shape[0] in _MODES and shape[1] * shape[2] <= MAX_PIXELS

    def describe(self, shape: tuple[int, ...]) -> str:
        channels, height, width = shape
        return f"{height}x{width} {_MODES.get(channels, f'with {channels} channels')}"

    def _convert(self, image: Image.Image) -> Image.Image:
        image = _plain(image)
        if self.mode is not None and image.mode != self.mode:
            image = image.convert(self.mode)
        if self.size is not None and image.size != self.size[::-1]:
            image = image.resize(self.size[::-1], Image.Resampling.BICUBIC)
        return image


def to_png(pixels: Stored) -> bytes:
    """PNG without metadata of uint8 (C, H, W), the same bytes for the same pixels."""
    sink = io.BytesIO()
    to_image(pixels).save(sink, "PNG")
    return sink.getvalue()


def to_image(pixels: Stored) -> Image.Image:
    """Grey, RGB or RGBA of uint8 (C, H, W)."""
    pixels = pixels[0] if pixels.shape[0] == 1 else pixels.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _column(keys: Sequence[str], files: Sequence[bytes]) -> pa.Array:
    paths = pa.array([f"{key}.png" for key in keys], pa.string())
    return pa.StructArray.from_arrays([pa.array(files, pa.binary()), paths], fields=list(IMAGE_TYPE))


def _open(data: bytes) -> Image.Image:
    """The first frame, decoded and turned upright as its EXIF orientation says."""
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        _check_size(image)
        _check_depth(image)
        image.load()
        turned = image.getexif().get(_ORIENTATION, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Image.DecompressionBombError:
        raise SampleError(f"more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise SampleError("not an image in a known format (PNG, JPEG, WebP, BMP, GIF, TIFF, PPM)") from None
    except _BROKEN as error:
        raise SampleError(f"broken image: {error}") from None


def _read_png(data: bytes | None, shape: tuple[int, ...]) -> Stored:
    """uint8 (C, H, W) from a data set's own PNG, which other readers must not see differently.

    Its size is compared with `shape` before Pillow sees it, and again in case there is a second header.
    """
    problem = header_problem(data, shape)
    if data is None or problem is not None:
        raise SampleError(problem)
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG",))
        if image.size != (shape[2], shape[1]) or image.mode != _MODES[shape[0]]:
            raise SampleError("a PNG with two headers")
        if getattr(image, "n_frames", 1) != 1:
            raise SampleError("a PNG with more than one frame")
        pixels = np.asarray(image, np.uint8)
        if "exif" in image.info:
            raise SampleError("a PNG with EXIF data, which may turn it")
    except (Image.DecompressionBombError, UnidentifiedImageError, *_BROKEN) as error:
        raise SampleError(f"broken image: {error}") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise SampleError(f"{image.height}x{image.width} is more than {MAX_PIXELS:,} pixels")


def _check_depth(image: Image.Image) -> None:
    """Refuse what Pillow would cut down to 8 bits in silence."""
    # Pillow opens 16-bit RGB as RGB; only the raw mode of its tiles tells.
    deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    if deep or image.mode == "F" or image.mode.startswith("I"):
        raise SampleError(f"16-bit or float pixels (mode {image.mode}); images are 8 bits per channel")


def _plain(image: Image.Image) -> Image.Image:
    """The image as L, RGB or RGBA, whichever loses nothing."""
    if image.mode in _MODES.values():
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("LA", "La", "PA", "RGBa") or (image.mode == "P" and "transparency" in image.info):
        return image.convert("RGBA")
    return image.convert("RGB")


def _from_pixels(pixels: npt.NDArray[Any]) -> Image.Image:
    if pixels.dtype != np.uint8:
        raise SampleError(f"{pixels.dtype} pixels; images are uint8 from 0 to 255")
    if pixels.ndim == 3 and pixels.shape[2] not in _MODES and pixels.shape[0] in _MODES:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if not pixels.size or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in _MODES)):
        raise SampleError(f"pixels of shape {pixels.shape}; images are (H, W) or (H, W, C) with 1, 3 or 4 channels")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _to_stored(image: Image.Image) -> Stored:
    pixels = np.asarray(image, np.uint8)
    return pixels[None].copy() if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
