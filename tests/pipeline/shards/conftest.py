from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.shards.rows import Climbs, RowFormat, Rows
from pipeline.text.sentences import Perturbed, Sentence, Tokens
from schemas.registry import DELTAS

FORMS = {
    "image": RowFormat("image", "fp16", 3, (1, 5, 4), "classification", class_names=("a", "b", "c")),
    "array": RowFormat("array", "fp32", 2, (3,), "regression", targets=2),
}
TEXTS = {
    "plain": RowFormat("text", "fp16", 3, (1,), "classification", class_names=("a", "b", "c")),
    "pairs": RowFormat("text", "fp32", 3, (2,), "classification"),
    "fp16": RowFormat("text", "fp16", 3, (1, 6, 4), "classification", class_names=("a", "b", "c"), delta="fp16"),
    "int8": RowFormat("text", "fp32", 2, (2, 6, 4), "regression", targets=2, delta="int8"),
}


@pytest.fixture(params=FORMS)
def form(request) -> RowFormat:
    return FORMS[request.param]


@pytest.fixture(params=TEXTS)
def texts(request) -> RowFormat:
    """Auxiliary samples of some are perturbed."""
    return TEXTS[request.param]


@pytest.fixture(params=[*FORMS, "fp16", "int8"])
def any_form(request) -> RowFormat:
    return {**FORMS, **TEXTS}[request.param]


@pytest.fixture
def shifted() -> RowFormat:
    return TEXTS["fp16"]


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
    if form.kind == "text":
        stored = _sentences(form, generator, count, source)
    else:
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


def _sentences(form: RowFormat, generator: np.random.Generator, count: int, source: bool) -> np.ndarray:
    plain, (texts, *sizes) = source or form.delta is None, form.shape
    stored = np.empty(count, object)
    for row in range(count):
        if plain:
            stored[row] = Sentence(tuple(f"text {row} in ünicode, {n}\n" for n in range(texts)))
            continue
        longest, width = sizes
        segments = np.array([-1, *np.sort(generator.integers(0, texts, 1 + row % (longest - 2))), -texts], np.int8)
        tokens = Tokens(generator.integers(0, 9, len(segments)).astype(np.int32), segments)
        codec = DELTAS.build(form.delta)
        delta = codec.unpack(codec.pack(generator.normal(size=(len(segments) - 2, width)).astype(np.float32)))
        stored[row] = Sentence(("",) * texts, Perturbed(tokens, delta))
    return stored
