"""What is said of a data set: all from the manifest, but for the classes."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from pipeline.datasets import open_dataset
from pipeline.datasets.summary import count_classes, summarize
from schemas.errors import BpkdError, UserError

FORMATS = pytest.mark.parametrize("format", ["parquet", "webdataset"])
SHARD = {"parquet": "train-00001-of-00002.parquet", "webdataset": "train-00001-of-00002.tar"}


@FORMATS
def test_a_summary_needs_nothing_but_the_manifest(write_dataset, tmp_path, format):
    write_dataset(str(tmp_path), format)
    for path in tmp_path.glob("train-*"):
        path.unlink()
    summary = summarize(open_dataset(str(tmp_path)))
    assert (summary.samples, summary.source, summary.auxiliary, summary.labelled) == (10, 6, 4, 5)
    assert (summary.files, summary.shards, summary.format) == (2, 2, format)
    assert (summary.kind, summary.shape, summary.classes) == ("image", (1, 4, 5), ("cat", "dog", "eel"))
    assert (summary.form, summary.embeddings, summary.mapped) == ("image 1x4x5", None, False)
    assert summary.sample_bytes == summary.bytes / 10
    assert summary.rounds[0].gap["gap_after"].q50 == 5
    assert summary.provenance["mine"] == {"steps": 7}


@FORMATS
@pytest.mark.parametrize("place", ["file", "memory", "s3"])
def test_samples_are_counted_by_label_and_by_the_teachers_choice(write_dataset, tmp_path, request, format, place):
    url = {"file": lambda: str(tmp_path), "memory": lambda: f"memory://{uuid.uuid4()}"}.get(
        place, lambda: f"{request.getfixturevalue('s3').url}/set"
    )()
    write_dataset(url, format)
    counts = count_classes(open_dataset(url))
    assert [(count.name, count.labelled, count.source, count.auxiliary) for count in counts] == [
        ("cat", 2, 2, 0),
        ("dog", 2, 2, 0),
        ("eel", 1, 2, 4),
    ]


def test_classes_without_names_go_by_their_index(write_dataset, tmp_path):
    spec = {"kind": "image", "codec": "fp16", "width": 3, "shape": [1, 4, 5], "task": "classification"}
    write_dataset(str(tmp_path), "webdataset", rows=spec)
    assert [count.name for count in count_classes(open_dataset(str(tmp_path)))] == ["0", "1", "2"]


@FORMATS
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "another shard"])
def test_a_damaged_shard_is_one_line_that_names_it(write_dataset, tmp_path, format, damage):
    write_dataset(str(tmp_path), format)
    path = tmp_path / SHARD[format]
    data = path.read_bytes()
    other = Path(str(path).replace("00001-", "00000-")).read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "cut": data[:-600], "another shard": other}[damage])
    with pytest.raises(BpkdError, match=rf"^{path}[^\n]+$"):
        count_classes(open_dataset(str(tmp_path)))


def test_columns_that_the_manifest_does_not_promise(write_dataset, tmp_path):
    spec = {"kind": "image", "codec": "fp32", "width": 3, "shape": [1, 4, 5], "task": "classification"}
    write_dataset(str(tmp_path), "parquet", rows=spec)
    with pytest.raises(UserError, match=r"train-00000-of-00002.parquet: column "):
        count_classes(open_dataset(str(tmp_path)))
