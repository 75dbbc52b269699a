"""Rows of text in both formats: what goes in comes out, to the bit; a wrong one is named by its key."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.shards.limits import check_format
from pipeline.shards.pool import PartsPool
from pipeline.shards.rows import Climbs, RowFormat, Rows
from pipeline.shards.tar import read_tar, write_tar
from pipeline.text.sentences import Perturbed, Sentence, Tokens
from schemas.errors import SampleError, UserError
from schemas.registry import DELTAS, FORMATS

relaxed = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def told(sentence: Sentence) -> Any:
    """All that a sentence holds, to be compared."""
    change = sentence.perturbed
    if change is None:
        return sentence.texts
    arrays = (change.tokens.ids, change.tokens.segments, change.delta)
    return sentence.texts, [(array.dtype, array.shape, array.tobytes()) for array in arrays]


@st.composite
def sentences(draw: st.DrawFn, form: RowFormat, perturbed: bool) -> Sentence:
    texts = form.shape[0]
    if not perturbed:
        return Sentence(tuple(draw(st.text(min_size=1, max_size=30)) for _ in range(texts)))
    segments = draw(hnp.arrays(np.int8, st.integers(1, form.shape[1]), elements=st.integers(-texts, texts - 1)))
    tokens = Tokens(draw(hnp.arrays(np.int32, len(segments), elements=st.integers(0, 2**31 - 1))), segments)
    shape = (int(tokens.real.sum()), form.shape[2])
    delta = draw(hnp.arrays(np.float32, shape, elements=st.floats(-100, 100, width=32)))
    codec = DELTAS.build(form.delta)
    return Sentence(("",) * texts, Perturbed(tokens, codec.unpack(codec.pack(delta))))


@pytest.mark.parametrize("format", FORMATS.names)
@relaxed
@given(data=st.data())
def test_any_texts_come_back(texts: RowFormat, format: str, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    own = [data.draw(sentences(texts, False)) for _ in range(count)]
    mined = [data.draw(sentences(texts, texts.delta is not None and data.draw(st.booleans()))) for _ in range(count)]
    keys = [f"s{i}" for i in range(count)]
    table = pa.concat_tables(
        [
            texts.encode(rows(texts, keys, own, True)),
            texts.encode(rows(texts, [f"{key}+r01" for key in keys], mined, False), climbs(keys)),
        ]
    )
    shard = FORMATS.build(format)
    written = shard.write(table, texts)
    back = shard.read(written, texts, 2 * count)
    assert shard.write(back, texts) == written
    assert [told(sentence) for sentence in texts.decode(back).stored] == [told(sentence) for sentence in own + mined]


def rows(form: RowFormat, keys: list[str], sentences: list[Sentence], source: bool) -> Rows:
    labels = np.full((len(keys), *form.labels_.shape), np.nan if form.task == "regression" else -1)
    logits = torch.zeros(len(keys), form.width)
    return Rows(
        keys,
        form.kind_.stack(sentences),
        labels.astype(form.labels_.dtype),
        logits,
        np.full(len(keys), source),
    )


def climbs(parents: list[str]) -> Climbs:
    gaps = np.ones(len(parents), np.float32)
    return Climbs(parents, 1, gaps, gaps, np.ones(len(parents), np.int64))


@pytest.mark.parametrize("format", FORMATS.names)
def test_a_table_of_text_is_the_same_in_every_format(
    texts: RowFormat, make_table: Callable[..., pa.Table], format: str
) -> None:
    table, shard = make_table(texts, 5, 4), FORMATS.build(format)
    assert shard.write(table, texts) == shard.write(table, texts)
    back = shard.read(shard.write(table, texts), texts, 9)
    assert back.schema == texts.schema and back.equals(table)


def test_members_of_every_sample(texts: RowFormat, make_table: Callable[..., pa.Table]) -> None:
    pair = ["pair.txt"] if texts.shape[0] == 2 else []
    shifts = {None: [], "fp16": ["ids.npy", "delta.npy"], "int8": ["ids.npy", "delta.npy", "scale.npy"]}[texts.delta]
    label = "target.npy" if texts.task == "regression" else "cls"
    names = [name for name, _ in read_tar(FORMATS.build("webdataset").write(make_table(texts, 1, 1), texts))]
    expected = ["txt", *pair, *shifts, label, "teacher.npy", "json"]
    assert names == [f"{key}.{extension}" for key in ("s0", "s0+r02") for extension in expected]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("text", "a", r"sample s1\+r02: is perturbed and has a text"),
        ("text", None, r"sample s1\+r02: has no text"),
        ("ids", None, r"sample s1\+r02: has some of ids, segments, delta, must have all or none"),
        ("ids", [1, -1, 1, 1], r"sample s1\+r02: its ids or segments are none of tokens"),
        ("segments", [-1, -1, -1, -1], r"sample s1\+r02: 2 rows of delta for 0 tokens"),
        ("delta", [np.full(4, np.nan, np.float16)] * 2, r"sample s1\+r02: its perturbation is not finite"),
    ],
)
def test_a_wrong_row_is_named_by_its_key(
    shifted: RowFormat, make_table: Callable[..., pa.Table], column: str, value: Any, message: str
) -> None:
    content = make_table(shifted, 2, 2).to_pylist()
    content[3][column] = value
    columns = {field.name: pa.array([row[field.name] for row in content], field.type) for field in shifted.schema}
    table = pa.table(columns, schema=shifted.schema)
    # A tar has no way to say null.
    for shard in map(FORMATS.build, ["parquet"] if value is None else FORMATS.names):
        with pytest.raises(SampleError, match=message):
            shifted.decode(shard.read(shard.write(table, shifted), shifted))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s1+r02.ids.npy", b"", r"sample s1\+r02: broken .npy"),
        ("s1.txt", b"\xff", "sample s1: its text is not UTF-8"),
        ("s1.txt", None, "sample s1 has members ids.npy"),
        ("s1.pair.txt", b"a", "sample s1 has a member 'pair.txt', must have txt, ids.npy, delta.npy, cls"),
        ("s1.scale.npy", b"a", "sample s1 has a member 'scale.npy', must have"),
    ],
)
def test_a_foreign_member_is_refused(
    shifted: RowFormat, make_table: Callable[..., pa.Table], name: str, content: bytes | None, message: str
) -> None:
    files = dict(read_tar(FORMATS.build("webdataset").write(make_table(shifted, 2, 2), shifted)))
    changed = []
    for known, data in files.items():
        changed += [(known, data)] if known != name else [] if content is None else [(name, content)]
        changed += [(name, content or b"")] if name not in files and known == "s1.txt" else []
    with pytest.raises(UserError, match=message):
        FORMATS.build("webdataset").read(write_tar(changed), shifted)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (1,)}, r"shape = \[1\] is none that text data has"),
        ({"shape": (1, 6)}, r"shape = \[1, 6\] is none that text data has"),
        ({"shape": (3, 6, 4)}, "is none that text data has"),
        ({"delta": None}, r"shape = \[1, 6, 4\] is none that text data has"),
        ({"shape": (1, 2**20, 2**10)}, "takes 4.0. GiB, the limit is 1 GiB"),
    ],
)
def test_formats_that_cannot_be(shifted: RowFormat, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_format(dataclasses.replace(shifted, **changes), "here")


def test_an_empty_table_decodes_to_no_rows(texts: RowFormat) -> None:
    assert len(texts.decode(texts.schema.empty_table())) == 0


def test_texts_in_a_window_for_training(texts: RowFormat, make_table: Callable[..., pa.Table]) -> None:
    table = make_table(texts, 3, 4)

    class Part:
        samples, source, labelled = 7, 3, 1

        def rows(self) -> Rows:
            return texts.decode(table)

        def table(self) -> pa.Table:
            return table

    pool = PartsPool([Part(), Part()], texts, memory_mb=64, seed=0, device=torch.device("cpu"))
    window = pool.load(0)
    assert pool.sizes == [(6, 8)] and window.is_source.tolist() == 2 * ([True] * 3 + [False] * 4)
    expected = 2 * [told(sentence) for sentence in texts.decode(table).stored]
    assert [told(sentence) for sentence in window.stored] == expected
    assert window.lengths is not None and window.lengths.tolist() == [one.length for one in window.stored]
    assert [told(one) for one in window.batch(np.array([6, 0])).inputs] == [expected[6], expected[0]]
