"""The other artifacts with rows, as `verify` and the stages after them meet them: cached logits, auxiliary samples."""

from __future__ import annotations

import base64
import hashlib
import io
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.shards.parts import SourcePart
from pipeline.shards.rows import RowFormat
from pipeline.sources import Block, Chunk
from pipeline.storage import Folder
from schemas.errors import BpkdError
from schemas.manifest import FileEntry, Manifest, pack

SHARD = "shard-00000.parquet"
MEMORY = 600 * 2**10
"""KiB."""

NAN = float("nan")


def packed(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **{"compression": "zstd", **options})
    return sink.getvalue()


def logits(keys: list[Any], values: list[Any], type_: pa.DataType | None = None) -> pa.Table:
    return pa.table(
        {"key": pa.array(keys, pa.string()), "logits": pa.array(values, type_ or pa.list_(pa.float16(), 3))}
    )


def many(keys: int) -> pa.Table:
    """The same row again and again, which costs next to nothing in a file."""
    values = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(3 * keys, np.float16)), 3)
    return pa.table({"key": pa.array(["s0"] * keys, pa.string()), "logits": values})


def halves(*rows: list[float]) -> list[np.ndarray]:
    return [np.array(row, np.float16) for row in rows]


ROW = [0.0, 1.0, 2.0]
CACHES: dict[str, tuple[Callable[[], bytes], str]] = {
    "many more rows": (lambda: packed(many(2**22)), "4194304 samples, the manifest promises 2"),
    "a long key": (lambda: packed(logits(["s0", "k" * 2**24], halves(ROW, ROW))), "bytes of values, 2 samples have"),
    "another column": (
        lambda: packed(logits(["s0", "s1"], halves(ROW, ROW)).append_column("bomb", [["x" * 2**24] * 2])),
        "column 'bomb' is none that the manifest promises",
    ),
    "other logits": (
        lambda: packed(logits(["s0", "s1"], [[0.0] * 4] * 2, pa.list_(pa.float32(), 4))),
        "float>[4], the manifest promises fixed_size_list<item: halffloat>[3]",
    ),
    "NaN": (lambda: packed(logits(["s0", "s1"], halves(ROW, [0, NAN, 0]))), "s1: its teacher logits are not all"),
    "no logits": (lambda: packed(logits(["s0", "s1"], [*halves(ROW), None])), "s1: has no logits"),
    "a key that leaves": (lambda: packed(logits(["s0", "../../x"], halves(ROW, ROW))), "the key of a source sample"),
    "no key": (lambda: packed(logits(["s0", None], halves(ROW, ROW))), "has no key"),
    "a key of a climb": (lambda: packed(logits(["s0", "s1+r01"], halves(ROW, ROW))), "the key of a source sample"),
    "noise": (lambda: np.random.default_rng(0).bytes(4000), "not a readable Parquet file"),
    "nothing": (lambda: b"", "not a readable Parquet file"),
}


@pytest.fixture
def artifact(tmp_path: Path) -> Callable[..., Path]:
    """`artifact(name, shard, details={}, entry={})`: writes an artifact of one shard around any bytes."""

    def write(name: str, shard: bytes, **changes: Any) -> Path:
        folder = tmp_path / "there"
        folder.mkdir()
        (folder / SHARD).write_bytes(shard)
        promised = {"path": SHARD, "bytes": len(shard), "sha256": hashlib.sha256(shard).hexdigest(), "samples": 2}
        manifest = Manifest.model_construct(
            artifact=name,
            bpkd="1",
            files=[FileEntry.model_construct(**{**promised, "source": 0, "labelled": 0, **changes.get("entry", {})})],
            fingerprint={"codec": "fp16"},
            details=changes["details"],
        )
        (folder / "manifest.json").write_bytes(pack(manifest))
        return folder

    return write


@pytest.mark.parametrize(("build", "error"), CACHES.values(), ids=CACHES)
def test_cached_logits_under_verification(
    harmless: Callable, artifact: Callable, build: Callable[[], bytes], error: str
) -> None:
    folder = artifact("teacher-logits", build(), details={"width": 3})
    code, out, err = harmless(["verify", str(folder), "--quiet"])
    assert code == 1 and error in " ".join((out + err).split())


@pytest.mark.parametrize(
    ("details", "entry", "error"),
    [
        ({"width": 2**30}, {}, "takes 4 GiB, the limit is 1 GiB"),
        ({"width": 10**30}, {}, "is no number of logits"),
        ({"width": 3}, {"samples": 2**40}, "samples take 1.23e+04 GiB, the limit is 4 GiB"),
        ({"width": 3}, {"bytes": 2**40}, "the limit is 4 GiB for a shard's file"),
        ({"width": 3}, {"source": 3}, "counts 3 as source, of 2 samples"),
    ],
)
def test_promises_of_cached_logits(
    harmless: Callable, artifact: Callable, details: dict[str, Any], entry: dict[str, Any], error: str
) -> None:
    shard = packed(logits(["s0", "s1"], halves(ROW, ROW)))
    code, out, err = harmless(
        ["verify", str(artifact("teacher-logits", shard, details=details, entry=entry)), "--quiet"]
    )
    assert code == 1 and error in " ".join((out + err).split())


def test_a_dictionary_that_repeats_a_long_key(harmless: Callable, artifact: Callable) -> None:
    """4,096 samples with one key of 4 MiB: 16 GiB as a table, some KiB as a file."""
    plain = many(4096)
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(4096, np.int32)), pa.array(["k" * 2**22]))
    table = pa.table({"key": long, "logits": plain["logits"]})
    sink = io.BytesIO()
    options = {"compression": "zstd", "store_schema": False, "dictionary_pagesize_limit": 2**30}
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table)
        # The reader goes by this schema, in which the key is no dictionary.
        promised = base64.b64encode(plain.schema.serialize().to_pybytes())
        writer.add_key_value_metadata({"ARROW:schema": promised.decode()})
    assert len(sink.getvalue()) < 2**17
    folder = artifact("teacher-logits", sink.getvalue(), details={"width": 3}, entry={"samples": 4096})
    code, out, _ = harmless(["verify", str(folder), "--quiet"])
    assert code == 1 and "bytes of values, 4,096 samples have" in out


class _Source:
    """The user's own two samples."""

    def read(self, chunk: Chunk) -> Block:
        return Block(["s0", "s1"], np.zeros((2, 1, 5, 4), np.uint8), np.array([-1, -1]), [])


@pytest.mark.parametrize(("build", "error"), CACHES.values(), ids=CACHES)
def test_cached_logits_as_a_stage_reads_them(
    tmp_path: Path, form: RowFormat, build: Callable[[], bytes], error: str
) -> None:
    data, folder = build(), Folder(str(tmp_path))
    folder.write(SHARD, data)
    entry = FileEntry(path=SHARD, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), samples=2, source=2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BpkdError) as caught:
        SourcePart(_Source(), Chunk(0, "a", 0, 2), folder, entry, form).rows()
    message = str(caught.value)
    assert error in message and SHARD in message and message.isprintable()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY


AUXILIARY: dict[str, tuple[Callable[[pa.Table], bytes], str]] = {
    "many more rows": (lambda t: packed(pa.concat_tables([t] * 2**16)), "131072 samples, the manifest promises 2"),
    "a large image": (
        lambda t: packed(t.set_column(1, t.schema.field(1), [[{"bytes": bytes(2**24), "path": "x"}] * 2])),
        "bytes of values, 2 samples have",
    ),
    "other columns": (
        lambda t: packed(t.drop_columns(["gap_after"])),
        "where the manifest promises column 'gap_after'",
    ),
    "noise": (lambda t: np.random.default_rng(0).bytes(4000), "not a readable Parquet file"),
}


@pytest.mark.parametrize(("build", "error"), AUXILIARY.values(), ids=AUXILIARY)
def test_auxiliary_samples(
    harmless: Callable, artifact: Callable, table: pa.Table, build: Callable[[pa.Table], bytes], error: str
) -> None:
    rows = {"kind": "image", "codec": "fp16", "width": 3, "shape": [1, 5, 4], "task": "classification"}
    shard = build(table.slice(2).combine_chunks())
    folder = artifact("auxiliary", shard, details={"rows": rows, "round": 1, "gap": {}})
    code, out, err = harmless(["verify", str(folder), "--quiet"])
    assert code == 1 and error in " ".join((out + err).split())


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ({"shape": [3, 10**30, 10**30]}, "the limit is 1 GiB"),
        ({"width": 10**30}, "the limit is 1 GiB"),
        ({"codec": "os:system"}, "unknown logit codec 'os:system'"),
        ({"kind": "subprocess:run"}, "unknown kind of data 'subprocess:run'"),
        ({"shape": [5]}, "is none that image data has"),
    ],
)
def test_promises_of_auxiliary_samples(
    harmless: Callable, artifact: Callable, table: pa.Table, rows: dict[str, Any], error: str
) -> None:
    spec = {"kind": "image", "codec": "fp16", "width": 3, "shape": [1, 5, 4], "task": "classification", **rows}
    folder = artifact("auxiliary", packed(table.slice(2)), details={"rows": spec, "round": 1, "gap": {}})
    code, out, err = harmless(["verify", str(folder), "--quiet"])
    assert code == 1 and error in " ".join((out + err).split())
