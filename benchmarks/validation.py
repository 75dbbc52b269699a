"""A validation split: images that settings are chosen on. No student sees them; the teacher was trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

VALIDATION = 5000
"""Rows at the end of the training split; students see its first rows."""


def validation_file(work: Path) -> Path:
    return work / "validation.parquet"


def write_validation(data: str, work: Path) -> None:
    """The last rows of the training split in the directory `data` as a file of their own in `work`."""
    import pyarrow.parquet as pq

    table = read_split(data, "train")
    work.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.slice(max(table.num_rows // 2, table.num_rows - VALIDATION)), validation_file(work))


def read_split(data: str, split: str) -> pa.Table:
    """All rows of a split of the directory `data`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa.concat_tables([pq.read_table(file) for file in sorted(Path(data).glob(f"{split}-*.parquet"))])
