from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.shards.rows import Climbs, RowFormat, Rows

FORMS = {
    "image": RowFormat("image", "fp16", 3, (1, 5, 4), "classification", class_names=("a", "b", "c")),
    "array": RowFormat("array", "fp32", 2, (3,), "regression", targets=2),
}


@pytest.fixture(params=FORMS)
def form(request) -> RowFormat:
    return FORMS[request.param]


@pytest.fixture
def images() -> RowFormat:
    return FORMS["image"]


@pytest.fixture
def numbers() -> RowFormat:
    return FORMS["array"]


@pytest.fixture
def make_table():
    """A function (form, source samples, auxiliary samples) -> table; every second source sample has a label."""

    def make(form: RowFormat, source: int, auxiliary: int = 0) -> pa.Table:
        tables = [form.encode(_rows(form, source, True))]
        if auxiliary:
            gaps = np.linspace(0.5, 1, auxiliary, dtype=np.float32)
            climbs = Climbs([f"s{i}" for i in range(auxiliary)], 2, gaps, 2 * gaps, np.arange(auxiliary))
            tables.append(form.encode(_rows(form, auxiliary, False), climbs))
        return pa.concat_tables(tables).combine_chunks()

    return make


def _rows(form: RowFormat, count: int, source: bool) -> Rows:
    generator = np.random.default_rng(count)
    stored = generator.integers(0, 256, (count, *form.shape)).astype(form.kind_.dtype)
    unknown = (np.arange(count) % 2 == 0) | (not source)
    if form.task == "regression":
        labels = generator.normal(size=(count, form.targets)).astype(np.float32)
        labels[unknown] = np.nan
    else:
        labels = np.where(unknown, -1, np.arange(count) % form.width)
    logits = torch.from_numpy(generator.normal(size=(count, form.width))).half().float()
    keys = [f"s{i}" if source else f"s{i}+r02" for i in range(count)]
    return Rows(keys, stored, labels, logits, np.full(count, source))
