"""Opening a data set: what a manifest names is looked up, never imported."""

from __future__ import annotations

import sys

import pytest

from pipeline.datasets import open_dataset
from pipeline.storage import Folder
from schemas.errors import UserError
from schemas.manifest import Manifest, pack

ROWS = {"kind": "array", "codec": "fp16", "width": 3, "shape": [2], "task": "classification"}
COUNTS = {"source": 0, "auxiliary": 0, "rounds": []}
DETAILS = {"rows": ROWS, "format": "parquet", "split": "train", "counts": COUNTS, "provenance": {}}


def write(url: str, artifact: str = "dataset", **details: object) -> None:
    manifest = Manifest(artifact=artifact, bpkd="1", files=[], fingerprint={}, details={**DETAILS, **details})
    Folder(url).write("manifest.json", pack(manifest))


def test_rows_are_those_of_the_manifest(tmp_path):
    write(str(tmp_path), rows={**ROWS, "class_names": ["a", "b", "c"]})
    data = open_dataset(str(tmp_path))
    assert (data.rows.width, data.rows.shape, data.rows.class_names) == (3, (2,), ("a", "b", "c"))
    assert data.format.suffix == "parquet" and data.parts == []


@pytest.mark.parametrize("place", ["kind", "codec", "format"])
def test_code_that_a_manifest_names_is_not_loaded(tmp_path, place):
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    details = {"format": "evil:Format"} if place == "format" else {"rows": {**ROWS, place: "evil:Thing"}}
    write(str(tmp_path), **details)
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(UserError, match=r"manifest.json: unknown .* 'evil:"):
            open_dataset(str(tmp_path))
    finally:
        sys.path.remove(str(tmp_path))


def test_code_that_the_user_names_is(tmp_path):
    write(str(tmp_path), rows={**ROWS, "codec": "pipeline.logits.dense:DenseFp16"})
    with pytest.raises(UserError, match="unknown"):
        open_dataset(str(tmp_path))
    assert open_dataset(str(tmp_path), trusted=["pipeline.logits.dense:DenseFp16"]).rows.codec_.extensions


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rows": {**ROWS, "shape": []}}, "details.rows.shape"),
        ({"rows": {**ROWS, "width": 0}}, "details.rows.width"),
        ({"rows": {**ROWS, "task": "other"}}, "details.rows.task"),
        ({"rows": None}, "details.rows"),
        ({"counts": {**COUNTS, "source": -1}}, "details.counts.source"),
        ({"surprise": 1}, "details.surprise"),
    ],
)
def test_wrong_details_are_refused_by_name(tmp_path, changes, named):
    write(str(tmp_path), **changes)
    with pytest.raises(UserError, match=rf"manifest.json: {named}: [^\n]+$"):
        open_dataset(str(tmp_path))


def test_another_artifact_is_none(tmp_path):
    write(str(tmp_path), artifact="student")
    with pytest.raises(UserError, match="holds 'student', not a data set"):
        open_dataset(str(tmp_path))
