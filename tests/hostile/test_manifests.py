"""Manifests that lie, in every number and name that a reader would believe."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.manifest import MAX_BYTES
from schemas.registry import FORMATS

HUGE = 10**30

LIES: dict[str, tuple[dict[str, Any], str]] = {
    "huge width": ({"rows": {"width": HUGE}}, "takes more than 2\\^80 bytes, the limit is 1 GiB"),
    "huge shape": ({"rows": {"shape": [3, HUGE, HUGE]}}, "the limit is 1 GiB"),
    "large shape": ({"rows": {"shape": [4, 20_000, 20_000]}}, "takes 1.49 GiB, the limit is 1 GiB"),
    "shape of no image": ({"rows": {"shape": [5]}}, r"details.rows.shape = \[5\] is none that image data has"),
    "channels of no image": ({"rows": {"shape": [2, 5, 4]}}, r"shape = \[2, 5, 4\] is none that image data has"),
    "shape of no array": ({"rows": {"kind": "array"}}, r"shape = \[1, 5, 4\] is none that array data has"),
    "huge targets": ({"rows": {"task": "regression", "targets": HUGE}}, "the limit is 1 GiB"),
    "many samples": ({"entry": {"samples": 2**40}}, "1,099,511,627,776 samples take .* the limit is 4 GiB"),
    "huge samples": ({"entry": {"samples": HUGE}}, "the limit is 4 GiB"),
    "many bytes": ({"entry": {"bytes": 2**40}}, "1.02e\\+03 GiB, the limit is 4 GiB"),
    "fewer bytes": ({"entry": {"bytes": 10}}, "bytes, the manifest promises 10"),
    "another hash": ({"entry": {"sha256": "0" * 64}}, "damaged: its sha256"),
    "more source samples": ({"entry": {"source": 5}}, "5 as source, of 4 samples"),
    "more labels": ({"entry": {"labelled": HUGE}}, "as labelled, of 4 samples"),
    "other source samples": ({"entry": {"source": 1}}, "2 source samples, the manifest promises 1"),
    "no labels": ({"entry": {"labelled": 0}}, "1 labels, the manifest promises 0"),
    "code as codec": ({"rows": {"codec": "os:system"}}, "unknown logit codec 'os:system'"),
    "code as kind": ({"rows": {"kind": "subprocess:run"}}, "unknown kind of data 'subprocess:run'"),
    "code as format": ({"details": {"format": "os:system"}}, "unknown export format 'os:system'"),
    "long name": ({"rows": {"codec": "x" * 10**6}}, "details.rows.codec: String should have at most"),
    "name with escapes": ({"rows": {"codec": "\x1b[2J"}}, r"unknown logit codec '\\x1b\[2J'"),
    "path up": ({"entry": {"path": "../../escaped"}}, "files.0.path"),
    "absolute path": ({"entry": {"path": "/tmp/escaped"}}, "files.0.path"),
    "URL": ({"entry": {"path": "s3://bucket/x"}}, "files.0.path"),
    "chain of URLs": ({"entry": {"path": "simplecache::file:/x"}}, "files.0.path"),
    "path of its own": ({"entry": {"path": "manifest.json"}}, "lists manifest.json itself"),
    "path with escapes": ({"entry": {"path": "a\x1b[2Jb"}}, "files.0.path"),
    "no such file": ({"entry": {"path": "b.parquet"}}, "b.parquet is missing, though the manifest lists it"),
    "unknown key": ({"details": {"\x1b[2J" * 1000: 1}}, "details.*Extra inputs"),
    "many unknown keys": ({"details": {str(n): 1 for n in range(10**5)}}, "details: .*100005 keys, 64 at most"),
    "names of classes that are none": ({"rows": {"class_names": [1] * 10**5}}, "details.rows.class_names.0"),
    "NaN": ({"rows": {"width": float("nan")}}, "details.rows.width"),
}


@pytest.mark.parametrize(("changes", "error"), LIES.values(), ids=LIES)
def test_lies(attack: Callable, dataset: Callable, table: pa.Table, form: Any, changes: dict, error: str) -> None:
    attack(dataset("parquet", FORMATS.build("parquet").write(table, form), **changes), error)


def sealed(text: str) -> bytes:
    """Any JSON, with a hash of its own at its end."""
    data = (text[:-1] + ',\n "manifest_sha256": "' + "0" * 64 + '"\n}\n').encode()
    return data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode())


FILE = {"path": "a.parquet", "bytes": 0, "sha256": "1" * 64}
WHOLE = {"format": "bpkd", "version": 1, "artifact": "dataset", "bpkd": "1", "files": [], "fingerprint": {}}
MANIFESTS = {
    "nothing": (b"", "the file: Invalid JSON"),
    "noise": (os.urandom(1000), "the file: Invalid JSON"),
    "too long": (b" " * (MAX_BYTES + 1), "67108865 bytes, a manifest has 67108864 at most"),
    "nested": (b'{"a":' * 10**5, "the file: Invalid JSON: recursion|more than|the file: "),
    "many values": (b"[" + b"0," * 2**23 + b"0]", "more than 4194304 values"),
    "many wrong files": (sealed(json.dumps({**WHOLE, "files": [0] * 10**6})), "files.0: "),
    "same file twice": (sealed(json.dumps({**WHOLE, "files": [FILE] * 2})), "lists a.parquet twice"),
    "many keys": (sealed(json.dumps({str(n): 0 for n in range(10**6)})), "1000001 keys, 64 at most"),
    "long key": (sealed(json.dumps({**WHOLE, "x" * 10**6: 0})), "x+\\.\\.\\.: Extra inputs"),
    "later version": (sealed(json.dumps({**WHOLE, "version": 2})), "version: Input should be 1"),
    "another format": (sealed(json.dumps({**WHOLE, "format": "\x1b[2J"})), "format: Input should be 'bpkd'"),
    "another artifact": (
        sealed(json.dumps({**WHOLE, "artifact": "\x1b[2J" * 10**5, "files": [FILE]})),
        r"holds '.{90,250}', not a data",
    ),
    "huge number": (
        sealed(json.dumps({**WHOLE, "failures": 0}).replace('"failures": 0', '"failures": 1e999')),
        "failures",
    ),
    "changed": (sealed(json.dumps(WHOLE)).replace(b"bpkd", b"BPKD", 1), "format"),
    "changed by hand": (sealed(json.dumps(WHOLE)).replace(b'"bpkd": "1"', b'"bpkd": "2"'), "its own sha256 is another"),
}


@pytest.mark.parametrize(("data", "error"), MANIFESTS.values(), ids=MANIFESTS)
def test_manifests(attack: Callable, tmp_path: Path, data: bytes, error: str | None) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(data)
    attack(folder, error)


@pytest.mark.parametrize("name", ["manifest.json", "shard"])
@pytest.mark.parametrize("kind", ["fifo", "endless device", "directory", "dangling link"])
def test_what_is_no_file(attack: Callable, dataset: Callable, table: pa.Table, form: Any, name: str, kind: str) -> None:
    """A reader that opens one would wait or read for ever."""
    shard = FORMATS.build("parquet").write(table, form)
    folder = dataset("parquet", shard, entry={"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()})
    path = folder / name if name == "manifest.json" else next(folder.glob("*.parquet"))
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "endless device" else "nowhere")
    attack(
        folder,
        "manifest.json|missing|not a plain file|the manifest promises|not a readable Parquet file|does not exist",
    )
