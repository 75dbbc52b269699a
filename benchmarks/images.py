"""Images for benchmarks that look at what images cost, and not at what is on them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageFilter

DISTINCT = 6000


def write_source(folder: Path, count: int, rows: int = 6000) -> None:
    """`count` smooth grey images of 28x28 in Parquet files of `rows`; from the 6,001st on they come again.

    Keys are made of the file's name and the row, so that no key comes twice.
    """
    generator = np.random.default_rng(0)
    folder.mkdir()
    pixels = generator.integers(0, 256, (min(DISTINCT, count), 28, 28), np.uint8)
    images = [{"bytes": smooth_png(image), "path": None} for image in pixels]
    labels = pa.array(generator.integers(0, 10, len(images)), pa.int64())
    column = pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    table = pa.table({"image": column, "label": labels})
    for start in range(0, count, rows):
        chosen = pa.array(np.arange(start, min(start + rows, count)) % len(images))
        pq.write_table(table.take(chosen), folder / f"{start // rows:05d}.parquet", row_group_size=1000)


def smooth_png(pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(3)).save(sink, "PNG")
    return sink.getvalue()
