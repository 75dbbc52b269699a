"""The manifest: it survives JSON, counts its samples, and refuses what it does not know."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.manifest import Manifest

FILE: dict[str, Any] = {"path": "a.parquet", "bytes": 3, "sha256": "0" * 64, "samples": 2}
VALUES: dict[str, Any] = {
    "artifact": "dataset",
    "bpkd": "0.1.0",
    "files": [FILE, {**FILE, "path": "b.parquet", "samples": 5}, {**FILE, "path": "failures.jsonl", "samples": 0}],
    "fingerprint": {"seed": 0},
}


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
    ],
)
def test_what_it_does_not_know_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate({**VALUES, **changes})
