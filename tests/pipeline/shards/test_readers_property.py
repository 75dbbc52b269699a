"""Whatever the bytes of a shard: rows, or one line on what is wrong."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.shards.limits import MAX_SAMPLE, check_format, sample_bytes
from pipeline.shards.parts import FilePart
from pipeline.shards.rows import RowFormat, Rows
from pipeline.shards.tar import read_tar, write_tar
from pipeline.storage import Folder, sha256
from pipeline.text.sentences import Sentence
from schemas.errors import BpkdError, SampleError, UserError
from schemas.manifest import FileEntry
from schemas.registry import FORMATS

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
positions = st.integers(0, 10**9)
edits = st.lists(
    st.one_of(
        st.tuples(st.just("set"), positions, st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("insert"), positions, st.binary(min_size=1, max_size=600)),
        st.tuples(st.just("remove"), positions, st.integers(1, 600)),
        st.tuples(st.just("cut"), positions, st.just(0)),
    ),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, changes: list[tuple[str, int, bytes | int]]) -> bytes:
    for kind, position, value in changes:
        at = position % (len(data) + 1)
        if isinstance(value, bytes):
            data = data[:at] + value + data[at + (len(value) if kind == "set" else 0) :]
        else:
            data = data[:at] if kind == "cut" else data[:at] + data[at + value :]
    return data


def read(format: str, data: bytes, form: RowFormat) -> pa.Table | None:
    """The table; None if it is refused, which must take one line."""
    try:
        table = FORMATS.build(format).read(data, form)
        rows = form.decode(table)
    except (UserError, SampleError) as error:
        problem = str(error)
    else:
        assert table.schema == form.schema and sound(rows, form)
        return table
    assert problem.isprintable() and len(problem) < 1000
    return None


def sound(rows: Rows, form: RowFormat) -> bool:
    count = len(rows)
    assert rows.stored.shape == (count, *(() if form.kind == "text" else form.shape))
    assert rows.stored.dtype == form.kind_.dtype and (form.kind != "text" or all(map(whole, rows.stored)))
    assert rows.logits.shape == (count, form.width) and rows.logits.isfinite().all()
    assert rows.labels.shape == (count, *form.labels_.shape) and rows.is_source.shape == (count,)
    names = [r"[\w-]+" if own else r"[\w-]+\+r\d\d+(\+\d+)?" for own in rows.is_source]
    return all(re.fullmatch(name, key, re.ASCII) for name, key in zip(names, rows.keys, strict=True))


def whole(sentence: Sentence) -> bool:
    if sentence.perturbed is None:
        return all(sentence.texts)
    tokens, delta = sentence.perturbed.tokens, sentence.perturbed.delta
    return len(delta) == tokens.real.sum() and bool(np.isfinite(delta).all()) and not any(sentence.texts)


@pytest.mark.parametrize("format", FORMATS.names)
@relaxed
@given(data=st.binary(max_size=2000) | st.binary(max_size=500).map(lambda data: b"PAR1" + data + b"PAR1"))
def test_any_bytes(images: RowFormat, format: str, data: bytes) -> None:
    assert read(format, data, images) is None


@pytest.mark.parametrize("format", FORMATS.names)
@relaxed
@given(changes=edits)
def test_any_damage(any_form: RowFormat, make_table: Callable[..., pa.Table], format: str, changes: list) -> None:
    read(format, edited(FORMATS.build(format).write(make_table(any_form, 3, 2), any_form), changes), any_form)


@pytest.mark.parametrize("format", FORMATS.names)
@relaxed
@given(changes=edits)
def test_damage_that_the_manifest_knows_nothing_of_is_found(
    images: RowFormat, make_table: Callable[..., pa.Table], format: str, changes: list
) -> None:
    table = make_table(images, 3, 2)
    shard = FORMATS.build(format).write(table, images)
    entry = FileEntry(path="a", bytes=len(shard), sha256=sha256(shard), samples=5, source=3, labelled=1)
    folder = Folder("memory://damage")
    folder.write("a", edited(shard, changes))
    try:
        found, problem = FilePart(folder, entry, images, FORMATS.build(format)).table(), ""
    except BpkdError as error:
        found, problem = table, str(error)
    assert found.equals(table) and "\n" not in problem


@relaxed
@given(data=st.data())
def test_any_contents_of_a_members_file(
    any_form: RowFormat, make_table: Callable[..., pa.Table], data: st.DataObject
) -> None:
    files = dict(read_tar(FORMATS.build("webdataset").write(make_table(any_form, 3, 2), any_form)))
    name = data.draw(st.sampled_from(sorted(files)))
    files[name] = data.draw(
        st.binary(max_size=300)
        | st.text(max_size=100).map(str.encode)
        | edits.map(lambda changes: edited(files[name], changes))
    )
    read("webdataset", write_tar(files.items()), any_form)


@relaxed
@given(keys=st.lists(st.text(min_size=1, max_size=8), min_size=3, max_size=3, unique=True))
def test_any_keys(images: RowFormat, make_table: Callable[..., pa.Table], keys: list[str]) -> None:
    keys = [key.encode(errors="replace").decode() for key in keys]
    table = make_table(images, 3)
    table = table.set_column(0, table.schema.field("key"), pa.array(keys, pa.string()))
    safe = all(re.fullmatch(r"[A-Za-z0-9_-]+", key) for key in keys)
    assert (read("parquet", FORMATS.build("parquet").write(table, images), images) is not None) == safe


@relaxed
@given(st.lists(st.floats(width=16), min_size=3, max_size=3))
def test_any_logits(images: RowFormat, make_table: Callable[..., pa.Table], logits: list[float]) -> None:
    table = make_table(images, 1)
    column = pa.array([np.array(logits, np.float16)], images.codec_.column_type(3))
    table = table.set_column(3, table.schema.field("teacher_logits"), column)
    for format in FORMATS.names:
        found = read(format, FORMATS.build(format).write(table, images), images)
        assert (found is not None) == bool(np.isfinite(logits).all())


@relaxed
@given(width=st.integers(1, 10**40), shape=st.lists(st.integers(1, 10**40), min_size=1, max_size=4))
def test_any_format_is_refused_before_it_costs_memory(images: RowFormat, width: int, shape: list[int]) -> None:
    form = dataclasses.replace(images, width=width, shape=tuple(shape))
    problem = ""
    try:
        check_format(form, "here")
    except UserError as error:
        problem = str(error)
    assert problem or (sample_bytes(form) <= MAX_SAMPLE and form.kind_.fits(form.shape))
    assert problem.isprintable() and len(problem) < 500
