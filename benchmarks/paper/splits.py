"""The splits of an experiment: directories with train-*.parquet and test-*.parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from validation import read_split

if TYPE_CHECKING:
    import pyarrow as pa

VALIDATION = 1 / 8
"""Share of the training split that a search measures on."""
QUICK_ROWS = 256


def cut_splits(data: str, work: Path, seed: int, searching: bool) -> str:
    """As they are; for a search the training split in two parts, the same for all seeds, and no test split."""
    folder = work / "validation"
    if searching and not folder.exists():
        table = read_split(data, "train")
        order = np.random.default_rng(0).permutation(len(table))
        count = round(len(table) * VALIDATION)
        _write(folder, {"train": table.take(np.sort(order[count:])), "test": table.take(np.sort(order[:count]))})
    return str(folder) if searching else data


def quick_splits(data: str, work: Path) -> str:
    """A few rows of both splits, drawn at random, as files may be sorted by label."""
    folder = work / "few"
    if not folder.exists():
        tables = {split: read_split(data, split) for split in ("train", "test")}
        _write(folder, {split: table.take(_some(len(table))) for split, table in tables.items()})
    return str(folder)


def _some(count: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(count)[:QUICK_ROWS])


def _write(folder: Path, tables: dict[str, pa.Table]) -> None:
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    for split, table in tables.items():
        pq.write_table(table, folder / f"{split}-0.parquet")
