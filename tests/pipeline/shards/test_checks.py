"""The rules of rows, as reading meets them (the first is raised) and as verification does (all are listed)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.shards.checks import refuse_first, wrong_cached, wrong_rows
from pipeline.shards.rows import RowFormat
from schemas.errors import SampleError
from schemas.registry import CODECS


def change(table: pa.Table, row: int, **values: Any) -> pa.RecordBatch:
    rows = table.to_pylist()
    rows[row].update(values)
    columns = {field.name: pa.array([row[field.name] for row in rows], field.type) for field in table.schema}
    return pa.table(columns, table.schema).to_batches()[0]


# Rows 0 and 1 are source samples s0 and s1; 2 and 3 are s0+r02 and s1+r02, mined from them in round 2.
WRONG: dict[str, tuple[int, dict[str, Any], str]] = {
    "no origin": (0, {"origin": None}, "sample s0: has no origin"),
    "other origin": (0, {"origin": "x"}, "sample s0: its origin is neither source nor auxiliary"),
    "suffix of a climb": (1, {"key": "s1+r01"}, "sample s1+r01: the key of a source sample has"),
    "empty key": (1, {"key": ""}, "row 1, key '': the key of a source sample has"),
    "new line": (1, {"key": "s1\n"}, r"row 1, key 's1\n': the key of a source sample has"),
    "long key": (1, {"key": "k" * 251}, "its key has more than 250 bytes"),
    "no suffix": (2, {"key": "s0"}, "sample s0: the key of an auxiliary sample is its parent's with"),
    "one digit": (2, {"key": "s0+r2"}, "sample s0+r2: the key of an auxiliary sample is its parent's with"),
    "half a repeat": (2, {"key": "s0+r02+"}, "the key of an auxiliary sample is its parent's with"),
    "other parent": (2, {"parent_key": "s1"}, "sample s0+r02: its key is not that of its parent and round"),
    "other round": (2, {"round": 3}, "sample s0+r02: its key is not that of its parent and round"),
    "parent that was mined": (2, {"parent_key": "s0+r01"}, "its parent_key is none of a source sample"),
    "source with steps": (0, {"steps": 1}, "sample s0: is a source sample with a steps"),
    "mined without steps": (3, {"steps": None}, "sample s1+r02: is an auxiliary sample without steps"),
    "gap": (3, {"gap_after": float("nan")}, "sample s1+r02: its gap_after is not finite"),
    "class": (0, {"label": 3}, r"sample s0: its label is none of 3 classes (0 to 2)"),
    "logits": (0, {"teacher_logits": np.array([0, np.inf, 0], np.float16)}, "its teacher logits are not all finite"),
}


@pytest.mark.parametrize(("row", "values", "message"), WRONG.values(), ids=WRONG)
def test_reading_raises_what_verification_lists(
    images: RowFormat, make_table: Callable[..., pa.Table], row: int, values: dict[str, Any], message: str
) -> None:
    batch = change(make_table(images, 2, 2), row, **values)
    wrong = list(wrong_rows(batch, images.kind_, images.labels_, images.codec_))
    found = [(mask.nonzero()[0].tolist(), what) for mask, what in wrong if mask.any()]
    with pytest.raises(SampleError) as caught:
        refuse_first(batch["key"], iter(wrong))
    assert message in str(caught.value) and str(caught.value).isprintable()
    assert found[0][0] == [row] and str(caught.value).endswith(found[0][1])


def test_a_source_sample_is_plain_text(shifted: RowFormat, make_table: Callable[..., pa.Table]) -> None:
    """What is perturbed has no parent to be compared with, if it does not say that it was mined."""
    table = make_table(shifted, 2, 2)
    mined = table.to_pylist()[2]
    for name in ("ids", "segments", "delta"):
        batch = change(table, 1, **{name: mined[name]})
        wrong = list(wrong_rows(batch, shifted.kind_, shifted.labels_, shifted.codec_))
        assert [mask.nonzero()[0].tolist() for mask, _ in wrong if mask.any()] == [[1]]
        with pytest.raises(SampleError, match=f"sample s1: is a source sample with {name}, which only auxiliary"):
            refuse_first(batch["key"], iter(wrong))
        with pytest.raises(SampleError, match="sample s1: is a source sample with"):
            shifted.decode(pa.Table.from_batches([batch]))


def test_an_auxiliary_sample_may_be_plain_text(shifted: RowFormat, make_table: Callable[..., pa.Table]) -> None:
    batch = change(make_table(shifted, 2, 2), 3, text="a", ids=None, segments=None, delta=None)
    rows = shifted.decode(pa.Table.from_batches([batch]))
    assert [sentence.perturbed is None for sentence in rows.stored] == [True, True, False, True]


@pytest.mark.parametrize(("key", "round_"), [("s0+r02", 2), ("s0+r02+3", 2), ("s0+r100", 100), ("s0+r100+12", 100)])
def test_keys_that_mining_gives_are_taken(
    images: RowFormat, make_table: Callable[..., pa.Table], key: str, round_: int
) -> None:
    batch = change(make_table(images, 2, 2), 2, key=key, round=round_)
    refuse_first(batch["key"], wrong_rows(batch, images.kind_, images.labels_, images.codec_))


def test_every_rule_is_listed_for_every_row(images: RowFormat, make_table: Callable[..., pa.Table]) -> None:
    table = make_table(images, 3, 2)
    batch = table.set_column(2, table.schema.field(2), pa.array([9, 0, -1, None, None], pa.int64())).to_batches()[0]
    wrong = wrong_rows(batch, images.kind_, images.labels_, images.codec_)
    assert [mask.tolist() for mask, _ in wrong if mask.any()] == [[True, False, True, False, False]]


@pytest.mark.parametrize(
    ("keys", "values", "message"),
    [
        (["a", "b+r01"], [[0.0], [1.0]], r"b\+r01: the key of a source"),
        (["a", None], [[0.0], [1.0]], "row 1: has no key"),
        (["a", "b"], [[0.0], None], "sample b: has no logits"),
        (["a", "b"], [[float("nan")], [1.0]], "sample a: its teacher logits are not all finite"),
        (["a", "b"], [[0.0], [None]], "sample b: its teacher logits are not all finite"),
    ],
)
def test_cached_logits(keys: list[Any], values: list[Any], message: str) -> None:
    batch = pa.record_batch({"key": pa.array(keys, pa.string()), "logits": pa.array(values, pa.list_(pa.float32(), 1))})
    with pytest.raises(SampleError, match=message):
        refuse_first(batch["key"], wrong_cached(batch, CODECS.build("fp32")))
