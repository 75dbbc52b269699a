"""The manifest: it survives JSON, counts its samples, and refuses what it does not know."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.manifest import Manifest, pack, unpack

FILE: dict[str, Any] = {"path": "a.parquet", "bytes": 3, "sha256": "0" * 64, "samples": 2}
VALUES: dict[str, Any] = {
    "artifact": "dataset",
    "bpkd": "0.1.0",
    "files": [FILE, {**FILE, "path": "b.parquet", "samples": 5}, {**FILE, "path": "failures.jsonl", "samples": 0}],
    "fingerprint": {"seed": 0},
}

UNSAFE = [
    "",
    "/etc/passwd",
    "../a",
    "a/../../b",
    "a//b",
    "a/",
    "./a",
    "a\\b",
    "C:a",
    "a\0b",
    "a\n",
    "é",
    ".hidden",
    "x" * 1025,
]
UNSAFE += ["manifest.json", "s3://bucket/a", "~/a"]


def test_samples_are_those_of_all_files() -> None:
    assert Manifest.model_validate(VALUES).samples == 7


def test_json_round_trips() -> None:
    manifest = Manifest.model_validate({**VALUES, "failures": 1, "details": {"gap": [1.5, None]}})
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"format": "other"},
        {"surprise": 1},
        {"files": [{**FILE, "sha256": "short"}]},
        {"files": [{**FILE, "bytes": -1}]},
        {"files": [{**FILE, "surprise": 1}]},
        {"files": [FILE, FILE]},
        *({"files": [{**FILE, "path": path}]} for path in UNSAFE),
    ],
)
def test_what_it_does_not_know_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate({**VALUES, **changes})


def test_what_is_packed_is_unpacked() -> None:
    packed = pack(Manifest.model_validate({**VALUES, "details": {"note": "π", "gap": [1.5, None]}}))
    assert pack(unpack(packed)) == packed
    assert unpack(packed).files[1].samples == 5


@given(st.integers(0), st.integers(0, 7))
def test_any_flipped_bit_is_found(byte: int, bit: int) -> None:
    packed = bytearray(pack(Manifest.model_validate(VALUES)))
    packed[byte % len(packed)] ^= 1 << bit
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        unpack(bytes(packed))


@given(st.binary(max_size=200) | st.text().map(str.encode) | st.just(b"[" * 100_000))
def test_anything_else_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        unpack(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
changed = st.dictionaries(st.sampled_from([*Manifest.model_fields, "\x1b[2J\n"]), json_values, max_size=4)
entries = st.dictionaries(st.sampled_from([*FILE, "source", "labelled", "\x1b[2J\n"]), json_values, max_size=3)


@given(changed | json_values, st.lists(entries, max_size=2))
def test_any_json_is_a_manifest_or_refused_in_one_line(changes: Any, files: list[dict[str, Any]]) -> None:
    whole = (
        {**VALUES, "files": [{**FILE, **entry} for entry in files], **changes} if isinstance(changes, dict) else changes
    )
    text = json.dumps(whole)
    if isinstance(whole, dict) and "manifest_sha256" not in whole:
        data = (text[:-1] + ',\n "manifest_sha256": "' + "0" * 64 + '"\n}\n').encode()
        data = data[:-68] + hashlib.sha256(data).hexdigest().encode() + data[-4:]
    else:
        data = text.encode()
    problem = ""
    try:
        unpack(data)
    except ValueError as error:
        problem = str(error)
    assert problem.isprintable() and len(problem) < 1000
