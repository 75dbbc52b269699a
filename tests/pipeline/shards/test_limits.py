"""What is too large is refused by its promise alone, by whoever reads it and by whoever writes it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from pipeline.artifacts.promised import read_checked
from pipeline.shards import limits
from pipeline.shards.labels import TargetColumn
from pipeline.shards.parts import file_parts
from pipeline.shards.rows import RowFormat, Rows
from pipeline.storage import Folder
from schemas.errors import BpkdError, UserError
from schemas.manifest import FileEntry, Manifest
from schemas.registry import FORMATS


def entry(**changes: Any) -> FileEntry:
    return FileEntry.model_validate({"path": "a", "bytes": 10, "sha256": "0" * 64, "samples": 4, **changes})


def test_a_sample_is_what_it_takes_as_arrays(images: RowFormat, numbers: RowFormat) -> None:
    assert limits.sample_bytes(images) == 20 + 4 * 3 + 16
    assert limits.sample_bytes(numbers) == 4 * 3 + 4 * 2 + 16 + 4 * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bytes": limits.MAX_FILE + 1}, "u/a has 4 GiB, the limit is 4 GiB for a shard's file"),
        ({"samples": 2**27}, "u/a: 134,217,728 samples take 6 GiB, the limit is 4 GiB .* smaller data.shard_size or"),
        ({"source": 5}, "counts 5 as source, of 4 samples"),
        ({"labelled": 5}, "counts 5 as labelled, of 4 samples"),
    ],
)
def test_promises_that_are_too_large(images: RowFormat, changes: dict[str, int], message: str) -> None:
    whole = {"artifact": "dataset", "bpkd": "1", "files": [entry(**changes)], "fingerprint": {}}
    with pytest.raises(UserError, match=message):
        file_parts("u", Manifest.model_validate(whole), images, FORMATS.build("parquet"))


def test_what_just_fits_is_taken(images: RowFormat) -> None:
    most = limits.MAX_DECODED // limits.sample_bytes(images)
    whole = entry(samples=most, bytes=limits.MAX_FILE, source=most, labelled=most)
    limits.check_entry(whole, limits.sample_bytes(images), "u/a")


@pytest.mark.parametrize("format", FORMATS.names)
def test_a_writer_keeps_to_the_limit_of_the_reader(
    images: RowFormat, make_table: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr(limits, "MAX_FILE", 1000)
    with pytest.raises(UserError, match=r"the limit is .*; set a smaller export.shard_size \(or data.shard_size\)"):
        FORMATS.build(format).write(make_table(images, 2), images)


@pytest.mark.parametrize("key", ["a/b", "a.b", "", "k" * 251, "a\n"])
def test_a_key_that_no_reader_takes_is_not_written(
    images: RowFormat, make_table: Callable[..., pa.Table], key: str
) -> None:
    rows: Rows = images.decode(make_table(images, 2))
    with pytest.raises(UserError, match=r"row 1, key .*: (the key of a source sample|its key has)|its key has more"):
        images.encode(dataclasses.replace(rows, keys=["a", key]))


def test_a_target_beyond_float32_is_not_written() -> None:
    with pytest.raises(UserError, match="beyond float32"):
        TargetColumn(1).encode(pa.array([1.0, float("inf")]).to_numpy().reshape(2, 1))


@pytest.mark.parametrize(
    ("there", "promised", "message"),
    [(b"x" * 11, 10, "has 11 bytes, the manifest promises 10"), (b"", 10, "has 0 bytes"), (None, 10, "is missing")],
)
def test_a_file_of_another_size_is_not_read(tmp_path, there: bytes | None, promised: int, message: str) -> None:
    if there is not None:
        (tmp_path / "a").write_bytes(there)
    with pytest.raises(BpkdError, match=message):
        read_checked(Folder(str(tmp_path)), entry(bytes=promised))


def test_an_empty_file_is_one(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert read_checked(Folder(str(tmp_path)), entry(bytes=0, sha256=hashlib.sha256(b"").hexdigest())) == b""
