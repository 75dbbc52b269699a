"""Parquet shards that unpack to more than they say, or hold what no data set does."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

LARGE = 2**24


def packed(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **{"compression": "zstd", **options})
    return sink.getvalue()


def with_column(name: str, values: list[Any]) -> Callable[[pa.Table], bytes]:
    def build(table: pa.Table) -> bytes:
        field = table.schema.field(name)
        return packed(table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type)))

    return build


def with_logits(values: list[float]) -> Callable[[pa.Table], bytes]:
    return with_column("teacher_logits", [[0, 0, 0], np.array(values, np.float16).tolist(), [0, 0, 0], [0, 0, 0]])


def key_bytes(table: pa.Table, key: bytes) -> bytes:
    """A key that is not UTF-8."""
    keys = pa.array([b"s0", key, b"s0+r01", b"s1+r01"], pa.binary()).view(pa.string())
    return packed(table.set_column(0, table.schema.field("key"), keys))


def zeros(table: pa.Table) -> bytes:
    return with_column("image", [{"bytes": bytes(LARGE), "path": "x"}] * 4)(table)


def repeated(table: pa.Table) -> bytes:
    """4,096 samples with one key of 4 MiB: 16 GiB as a table, some KiB as a file."""
    many = pa.concat_tables([table.slice(0, 1)] * 4096).combine_chunks()
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(4096, np.int32)), pa.array(["k" * 2**22]))
    columns = [long, *many.columns[1:]]
    fields = [pa.field("key", long.type, nullable=False), *list(many.schema)[1:]]
    sink = io.BytesIO()
    # The reader goes by this schema, in which the key is no dictionary.
    promised = base64.b64encode(many.schema.serialize().to_pybytes())
    schema = pa.schema(fields)
    with pq.ParquetWriter(
        sink, schema, compression="zstd", store_schema=False, dictionary_pagesize_limit=2**30
    ) as writer:
        writer.write_table(pa.table(columns, schema=schema))
        writer.add_key_value_metadata({"ARROW:schema": promised.decode()})
    return sink.getvalue()


NAN, INF = float("nan"), float("inf")
SHARDS = {
    "zeros": (zeros, "bytes of values, 4 samples have"),
    "NaN logits": (with_logits([0, NAN, 0]), "sample s1: its teacher logits are not all finite"),
    "infinite logits": (with_logits([0, -INF, 0]), "sample s1: its teacher logits are not all finite"),
    "missing logit": (
        with_column("teacher_logits", [[0, 0, 0], [0, None, 0], [0, 0, 0], [0, 0, 0]]),
        "sample s1: its teacher logits are not all finite",
    ),
    "class of no model": (with_column("label", [3, None, None, None]), "sample s0: its label is none of 3 classes"),
    "negative class": (with_column("label", [-1, None, None, None]), "sample s0: its label is none of 3 classes"),
    "no image": (with_column("image", [None, None, None, None]), "sample s0: has no image"),
    "no bytes": (with_column("image", [{"bytes": None, "path": "/etc/passwd"}] * 4), "sample s0: has no image"),
    "other origin": (
        with_column("origin", ["source", "source", "auxiliary", "stolen"]),
        r"sample s1\+r01: its origin is neither",
    ),
    "parent of a source sample": (with_column("parent_key", ["s1", None, "s0", "s1"]), "s0: is a source sample with a"),
    "no parent": (with_column("parent_key", [None, None, None, "s1"]), r"s0\+r01: is an auxiliary sample without"),
    "parent that leaves": (
        with_column("parent_key", [None, None, "../../x", "s1"]),
        r"s0\+r01: its parent_key is none of a source sample",
    ),
    "round 0": (with_column("round", [None, None, 0, 1]), r"s0\+r01: its round is less than 1"),
    "NaN gap": (with_column("gap_before", [None, None, 1, NAN]), r"s1\+r01: its gap_before is not finite"),
    "infinite gap": (with_column("gap_after", [None, None, INF, 1]), r"s0\+r01: its gap_after is not finite"),
    "steps below 0": (with_column("steps", [None, None, 1, -1]), r"s1\+r01: its steps are less than 0"),
    "fewer samples": (lambda t: packed(t.slice(0, 3)), "3 samples, the manifest promises 4"),
    "more samples": (lambda t: packed(pa.concat_tables([t] * 1000)), "4000 samples, the manifest promises 4"),
    "other columns": (lambda t: packed(t.append_column("\x1b[2J" * 9, t["label"])), "column .*x1b.* is none that"),
    "other type": (
        lambda t: packed(t.set_column(2, "label", t["label"].cast(pa.string()))),
        "column 'label' is string",
    ),
    "nothing": (lambda t: b"", "0 bytes|not a readable Parquet file"),
    "noise": (lambda t: np.random.default_rng(0).bytes(4000), "not a readable Parquet file"),
    "cut": (lambda t: packed(t)[:-100], "not a readable Parquet file"),
    "a footer of noise": (lambda t: packed(t)[:-500] + bytes(492) + packed(t)[-8:], "not a readable Parquet file"),
    "a footer beyond the file": (lambda t: packed(t)[:-8] + b"\xff\xff\xff\x7fPAR1", "not a readable Parquet file"),
    "encrypted": (lambda t: b"PARE" + packed(t)[4:-4] + b"PARE", "not a readable Parquet file"),
    "pages of noise": (lambda t: packed(t)[:4] + bytes(600) + packed(t)[604:], "not a readable Parquet file"),
    "prefixes": (
        lambda t: packed(t, use_dictionary=False, column_encoding={"key": "DELTA_BYTE_ARRAY"}),
        "encoding 7 of 'key' is not read",
    ),
}


@pytest.mark.parametrize(("build", "error"), SHARDS.values(), ids=SHARDS)
def test_shards(attack: Callable, dataset: Callable, table: pa.Table, build: Callable, error: str) -> None:
    attack(dataset("parquet", build(table)), error)


KEYS = ["../../escaped", "/tmp/escaped", "a/b", "a\nb", "a\x1b[2Jb", "a\u202eb", "a\0b", "", "k" * 300, "a.b"]


@pytest.mark.parametrize("key", [*map(str.encode, KEYS), b"\xff\xfe"])
def test_keys(attack: Callable, dataset: Callable, table: pa.Table, key: bytes) -> None:
    error = r"row 1, key .*: the key of a source sample|its key has more than 250 bytes"
    error = "not a readable Parquet file: .*UTF" if key == b"\xff\xfe" else error
    attack(dataset("parquet", key_bytes(table, key)), error)


def test_a_dictionary_that_repeats_a_long_key(attack: Callable, dataset: Callable, table: pa.Table) -> None:
    shard = repeated(table)
    assert len(shard) < 2**17
    attack(
        dataset("parquet", shard, entry={"samples": 4096, "source": 4096, "labelled": 4096}),
        "bytes of values, 4,096 samples have",
    )
