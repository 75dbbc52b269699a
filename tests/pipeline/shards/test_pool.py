from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.shards.pool import PartsPool
from pipeline.shards.rows import RowFormat, Rows
from schemas.errors import BpkdError

CPU = torch.device("cpu")


@dataclass
class TablePart:
    """A part in memory."""

    form: RowFormat
    content: pa.Table
    samples: int
    source: int
    labelled: int = 0

    def rows(self) -> Rows:
        return self.form.decode(self.content)

    def table(self) -> pa.Table:
        return self.content

    def __str__(self) -> str:
        return f"part of {self.samples}"


def parts(form, make_table) -> list[TablePart]:
    counts = [(4, 0), (0, 3), (2, 5), (0, 0), (6, 1)]
    return [TablePart(form, make_table(form, own, mined), own + mined, own) for own, mined in counts]


def test_windows_hold_every_sample_of_their_parts_once(form, make_table):
    given = parts(form, make_table)
    pool = PartsPool(given, form, memory_mb=1, seed=0, device=CPU)
    assert list(pool.sizes) == [(12, 9)]
    window = pool.load(0)
    whole = [part.rows() for part in given]
    stored = np.concatenate([rows.stored for rows in whole])
    order = [next(i for i, other in enumerate(stored) if (other == sample).all()) for sample in window.stored.numpy()]
    assert sorted(order) == list(range(21))
    labels = np.concatenate([rows.labels for rows in whole])[order]
    assert np.array_equal(window.labels.numpy(), labels, equal_nan=labels.dtype.kind == "f")
    assert window.labels.numpy().dtype == labels.dtype and window.stored.numpy().dtype == stored.dtype
    assert torch.equal(window.logits, torch.cat([rows.logits for rows in whole])[order])
    assert np.array_equal(window.is_source, np.concatenate([rows.is_source for rows in whole])[order])
    assert torch.equal(window.batch(np.arange(3)).inputs, form.kind_.to_inputs(stored[order[:3]]))


def test_a_small_limit_makes_many_windows(form, make_table):
    pool = PartsPool(parts(form, make_table), form, memory_mb=0, seed=0, device=CPU)
    assert sorted(pool.sizes) == [(0, 3), (2, 5), (4, 0), (6, 1)]
    assert [len(pool.load(i).stored) for i in range(4)] == [sum(size) for size in pool.sizes]


@pytest.mark.parametrize("promised", [3, 5])
def test_a_part_with_another_number_of_samples_is_named(images, make_table, promised):
    part = TablePart(images, make_table(images, 4), promised, 4)
    with pytest.raises(BpkdError, match=f"part of {promised} gave 4 samples, promised were {promised}"):
        PartsPool([part], images, memory_mb=1, seed=0, device=CPU).load(0)
