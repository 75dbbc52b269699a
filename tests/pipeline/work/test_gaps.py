"""Gap statistics against those of all values at once, and their memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage import Folder
from pipeline.work.gaps import gap_statistics, summary


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 99, 1000, 4097])
@pytest.mark.parametrize("which", ["gaps", "equal", "few", "signed", "tiny"])
def test_the_same_as_of_all_values_at_once(count: int, which: str) -> None:
    generator = np.random.default_rng(count)
    made = {
        "gaps": generator.gamma(2, 50, count),
        "equal": np.full(count, 3.25),
        "few": generator.integers(0, 3, count),
        "signed": generator.normal(0, 1, count),
        "tiny": generator.integers(0, 9, count) * 1e-45,
    }[which].astype(np.float32)
    found = summary(lambda: iter(np.array_split(made, 3)))
    series = pl.Series(made)
    assert found.pop("mean") == pytest.approx(made.astype(np.float64).mean(), rel=1e-12)
    assert found == {name: series.quantile(share) for name, share in {"q25": 0.25, "q50": 0.5, "q75": 0.75}.items()}


def test_of_shards(tmp_path: Path) -> None:
    for name, gaps in {"a": [1.0, 9.0], "b": [], "c": [5.0]}.items():
        after = pa.array(gaps, pa.float32())
        pq.write_table(
            pa.table({"gap_before": pa.array([0.0] * len(gaps), pa.float32()), "gap_after": after}), tmp_path / name
        )
    found = gap_statistics(Folder(str(tmp_path)), ["a", "b", "c"])
    assert found["gap_before"] == {"mean": 0, "q25": 0, "q50": 0, "q75": 0}
    assert found["gap_after"] == {"mean": 5, "q25": 5, "q50": 5, "q75": 9}
    assert gap_statistics(Folder(str(tmp_path)), ["b"]) == {}


def test_memory_does_not_grow_with_their_number() -> None:
    block = np.random.default_rng(0).random(1000, np.float32)

    def peak(blocks: int) -> int:
        tracemalloc.start()
        try:
            summary(lambda: (block for _ in range(blocks)))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    assert peak(200) < 1.05 * peak(2)
