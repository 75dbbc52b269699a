"""What every row of a data set must be, whoever made it; all columns but those of samples and logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.shards.limits import MAX_KEY
from schemas.errors import SampleError, clipped

if TYPE_CHECKING:
    from pipeline.shards.rows import RowFormat

SOURCE, AUXILIARY = "source", "auxiliary"

_KEY = r"\A[A-Za-z0-9_-]+(\+r[0-9]+(\+[0-9]+)?)?\z"
_CLIMB = ("parent_key", "round", "gap_before", "gap_after", "steps")


def check_rows(batch: pa.RecordBatch, rows: RowFormat) -> None:
    """Check a batch that has the schema of `rows`.

    Raises:
        SampleError: the first row that is wrong in the first respect, by key.
    """
    for name in ("key", rows.kind_.column, "teacher_logits", "origin"):
        _refuse(batch, batch[name].is_null(), f"has no {name}")
    check_keys(batch["key"])
    own, mined = pc.equal(batch["origin"], SOURCE), pc.equal(batch["origin"], AUXILIARY)
    _refuse(batch, pc.invert(pc.or_(own, mined)), f"its origin is neither {SOURCE} nor {AUXILIARY}")
    for name in _CLIMB:
        known = batch[name].is_valid()
        _refuse(batch, pc.and_(own, known), f"is a source sample with a {name}")
        _refuse(batch, pc.and_not(mined, known), f"is an auxiliary sample without {name}")
    check_keys(batch["parent_key"].drop_null(), "parent_key")
    for name in ("gap_before", "gap_after"):
        _refuse(batch, pc.invert(pc.is_finite(batch[name])), f"its {name} is not finite")
    _refuse(batch, pc.less(batch["round"], 1), "its round is less than 1")
    _refuse(batch, pc.less(batch["steps"], 0), "its steps are less than 0")
    if rows.task == "classification":
        label = batch["label"]
        outside = pc.or_(pc.less(label, 0), pc.greater_equal(label, rows.width))
        _refuse(batch, outside, f"its label is none of {rows.width} classes (0 to {rows.width - 1})")


def check_keys(keys: pa.Array, column: str = "key") -> None:
    """Check that every key is safe as the name of a file.

    Raises:
        SampleError: one is not; shown as far as it can be.
    """
    fine = pc.and_(pc.match_substring_regex(keys, _KEY), pc.less_equal(pc.binary_length(keys), MAX_KEY))
    row = fine.index(False).as_py()
    if row >= 0:
        takes = f"takes letters, digits, _ and -, then perhaps +rNN and +K, {MAX_KEY} in all"
        raise SampleError(f"row {row}: {column} {_shown(keys[row])!r} is none; it {takes}")


def _refuse(batch: pa.RecordBatch, wrong: pa.Array, what: str) -> None:
    row = wrong.index(True).as_py()
    if row >= 0:
        raise SampleError(f"sample {_shown(batch['key'][row])}: {what}")


def _shown(key: pa.Scalar) -> str:
    """A key may not even be UTF-8."""
    data = key.as_buffer()
    return clipped(data.to_pybytes()[:500].decode(errors="backslashreplace")) if data is not None else "without key"
