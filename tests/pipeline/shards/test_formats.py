"""What goes into a shard comes out of it, in every format, for every kind of data."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.shards.rows import Climbs, RowFormat, Rows
from schemas.errors import UserError
from schemas.registry import FORMATS

FORMATS_OF_ROWS = {
    "grey images": RowFormat("image", "fp16", 3, (1, 5, 4), "classification", class_names=("a", "b", "c")),
    "colour images": RowFormat("image", "fp32", 2, (3, 4, 4), "classification"),
    "arrays with classes": RowFormat("array", "fp16", 4, (6,), "classification"),
    "regression": RowFormat("array", "fp32", 2, (3,), "regression", targets=2),
}


def rows(form: RowFormat, count: int = 5, source: bool = True) -> Rows:
    generator = np.random.default_rng(0)
    if form.kind == "image":
        stored = generator.integers(0, 256, (count, *form.shape), np.uint8)
    else:
        stored = generator.normal(size=(count, *form.shape)).astype(np.float32)
    if form.task == "regression":
        labels = generator.normal(size=(count, form.targets)).astype(np.float32)
        labels[1], labels[2, 0] = np.nan, np.nan
    else:
        labels = np.array([0, -1, 1, 1, 0], np.int64)[:count]
    logits = torch.randn(count, form.width, generator=torch.Generator().manual_seed(0)).half().float()
    return Rows(
        [f"k{i}" if source else f"k{i}+r02" for i in range(count)], stored, labels, logits, np.full(count, source)
    )


def climbs(count: int = 5) -> Climbs:
    gaps = np.linspace(0.1, 1, count).astype(np.float32)
    return Climbs([f"k{i}" for i in range(count)], 2, gaps, 2 * gaps, np.arange(count))


@pytest.mark.parametrize("name", FORMATS.names)
@pytest.mark.parametrize("form", FORMATS_OF_ROWS.values(), ids=FORMATS_OF_ROWS)
@pytest.mark.parametrize("source", [True, False], ids=["source", "auxiliary"])
def test_round_trip(name, form, source):
    given = rows(form, source=source)
    table = form.encode(given, None if source else climbs())
    shard = FORMATS.build(name)
    data = shard.write(table, form)
    assert shard.write(table, form) == data
    back = shard.read(data, form)
    assert back.schema == form.schema and back.to_pylist() == table.to_pylist()
    found = form.decode(back)
    assert found.keys == given.keys and np.array_equal(found.stored, given.stored)
    assert np.array_equal(found.labels, given.labels, equal_nan=form.task == "regression")
    assert torch.equal(found.logits, given.logits) and (found.is_source == source).all()


@pytest.mark.parametrize("name", FORMATS.names)
def test_origins_mix_and_tables_may_be_in_pieces(name):
    form, shard = FORMATS_OF_ROWS["grey images"], FORMATS.build(name)
    table = pa.concat_tables([form.encode(rows(form)), form.encode(rows(form, source=False), climbs())]).slice(3, 5)
    back = shard.read(shard.write(table, form), form)
    assert back.to_pylist() == table.to_pylist()
    assert form.decode(back).is_source.tolist() == [True, True, False, False, False]
    assert form.decode(table).keys == form.decode(back).keys


@pytest.mark.parametrize("form", FORMATS_OF_ROWS.values(), ids=FORMATS_OF_ROWS)
def test_an_empty_table_decodes_to_no_rows(form):
    assert len(form.decode(form.schema.empty_table())) == 0


@pytest.mark.parametrize("name", FORMATS.names)
@pytest.mark.parametrize("damage", ["empty", "noise", "cut"])
def test_a_damaged_shard_is_refused_in_one_line(name, damage):
    form = FORMATS_OF_ROWS["grey images"]
    shard = FORMATS.build(name)
    whole = shard.write(form.encode(rows(form)), form)
    data = {"empty": b"", "noise": b"\x07" * 2000, "cut": whole[: len(whole) // 3]}[damage]
    with pytest.raises(UserError) as caught:
        shard.read(data, form)
    assert "\n" not in str(caught.value)
