"""Places to put a source, images to put there, and configs that name it."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from schemas.config import Config, parse_config

_numbers = itertools.count()


class Place:
    """A directory on the disk or in memory."""

    def __init__(self, url: str) -> None:
        self.url = url

    def write(self, name: str, data: bytes | str) -> str:
        """Write a file and return its URL."""
        fs, path = fsspec.core.url_to_fs(f"{self.url}/{name}")
        fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        fs.pipe_file(path, data.encode() if isinstance(data, str) else data)
        return f"{self.url}/{name}"


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "local":
        yield Place(str(tmp_path))
        return
    url = f"memory:///sources-{next(_numbers)}"
    yield Place(url)
    fs, path = fsspec.core.url_to_fs(url)
    if fs.exists(path):
        fs.rm(path, recursive=True)


@pytest.fixture
def local(tmp_path: Path) -> Place:
    return Place(str(tmp_path))


@pytest.fixture
def png() -> Callable[..., bytes]:
    """png(level, shape): a PNG of one grey level (H, W), or one value in all channels (H, W, C)."""

    def make(level: int = 0, shape: tuple[int, ...] = (2, 3)) -> bytes:
        sink = io.BytesIO()
        Image.fromarray(np.full(shape, level, np.uint8)).save(sink, "PNG")
        return sink.getvalue()

    return make


@pytest.fixture
def config() -> Callable[..., Config]:
    """config(train=..., ...): a config with this [data] section."""

    def make(**data: Any) -> Config:
        model = {"factory": "zoo:cnn"}
        return parse_config({"run": {"output": "out"}, "data": data, "teacher": model, "student": model})

    return make


@pytest.fixture
def parquet() -> Callable[..., bytes]:
    """parquet(names=None, **columns): a file with two rows to a group; `names` are the hub's class names."""

    def make(**columns: Any) -> bytes:
        names = columns.pop("names", None)
        table = pa.table(columns)
        if names:
            features = {"label": {"_type": "ClassLabel", "names": names}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        sink = io.BytesIO()
        pq.write_table(table, sink, row_group_size=2)
        return sink.getvalue()

    return make


@pytest.fixture
def write_images(png: Callable[..., bytes], parquet: Callable[..., bytes]) -> Callable[[Place, str], str]:
    """write_images(place, format): four grey images, levels 0 to 3, of the classes cat, dog, cat, dog."""

    def write(place: Place, format: str) -> str:
        classes = ["cat", "dog", "cat", "dog"]
        levels = [png(level) for level in range(4)]
        if format == "parquet":
            return str(place.write("a.parquet", parquet(image=levels, label=classes)))
        if format == "webdataset":
            sink = io.BytesIO()
            with tarfile.open(fileobj=sink, mode="w") as tar:
                for number, (data, name) in enumerate(zip(levels, classes, strict=True)):
                    for extension, content in (("png", data), ("cls", name.encode())):
                        info = tarfile.TarInfo(f"{number}.{extension}")
                        info.size = len(content)
                        tar.addfile(info, io.BytesIO(content))
            return str(place.write("a.tar", sink.getvalue()))
        if format == "numpy":
            sink = io.BytesIO()
            np.savez(
                sink, images=np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((2, 3), np.uint8), labels=classes
            )
            return str(place.write("a.npz", sink.getvalue()))
        urls = [
            place.write(f"f/{name}/{n}.png", data) for n, (name, data) in enumerate(zip(classes, levels, strict=True))
        ]
        if format == "folder":
            return f"{place.url}/f"
        rows = [{"path": url[len(place.url) + 1 :], "label": name} for url, name in zip(urls, classes, strict=True)]
        if format == "csv":
            return str(place.write("a.csv", "path,label\n" + "".join(f"{r['path']},{r['label']}\n" for r in rows)))
        return str(place.write("a.jsonl", "\n".join(json.dumps(row) for row in rows)))

    return write
