from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
HUB = {"info": {"features": {"label": {"_type": "ClassLabel", "names": [f"class {number}" for number in range(10)]}}}}


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the benchmarks is where Python looks for modules."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def write_splits(benchmarks: None) -> Callable[[Path, int], None]:
    """A function (folder, count) that writes train-0.parquet and test-0.parquet of so many images in 10 classes."""

    def write(folder: Path, count: int) -> None:
        for split in ("train", "test"):
            import_module("images").write_source(folder / split, count)
            table = pq.read_table(folder / split / "00000.parquet")
            named = table.replace_schema_metadata({"huggingface": json.dumps(HUB)})
            pq.write_table(named, folder / f"{split}-0.parquet")

    return write
