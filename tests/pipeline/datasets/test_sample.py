"""One sample by its key."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.datasets import open_dataset
from pipeline.datasets.sample import Choice, Sample, find_family, find_sample, save_sample
from pipeline.datasets.summary import count_classes
from pipeline.shards.rows import RowFormat, Rows
from pipeline.storage import Folder, sha256
from schemas.errors import BpkdError, UserError
from schemas.manifest import MANIFEST, FileEntry, Manifest, pack
from schemas.registry import FORMATS as FORMATS_

FORMATS = pytest.mark.parametrize("format", ["parquet", "webdataset"])


@FORMATS
def test_a_source_sample(write_dataset, tmp_path, format):
    write_dataset(str(tmp_path), format)
    sample = find_sample(open_dataset(str(tmp_path)), "s1")
    assert (sample.origin, sample.label, sample.class_name) == ("source", 1, "dog")
    assert (sample.parent_key, sample.round, sample.gap_before, sample.steps) == (None, None, None, None)
    assert [output.name for output in sample.outputs] == ["dog", "cat", "eel"]
    first = sample.outputs[0]
    assert first.logit == 4 and first.probability == pytest.approx(np.exp(4) / (np.exp(4) + 2))
    assert find_sample(open_dataset(str(tmp_path)), "s5").label is None


@FORMATS
def test_an_auxiliary_sample_and_its_parent(write_dataset, tmp_path, format):
    write_dataset(f"{tmp_path}/set", format)
    family = find_family(open_dataset(f"{tmp_path}/set"), "s3+r01")
    assert [sample.key for sample in family] == ["s3+r01", "s3"]
    sample = family[0]
    assert (sample.origin, sample.parent_key, sample.round, sample.steps) == ("auxiliary", "s3", 1, 7)
    assert (sample.gap_before, sample.gap_after, sample.label) == (4, 8, None)
    assert save_sample(sample, f"{tmp_path}/saved") == [f"{tmp_path}/saved/s3+r01.png"]
    image = np.asarray(Image.open(io.BytesIO(Folder(f"{tmp_path}/saved").read("s3+r01.png"))))
    assert image.tolist() == np.arange(180, 200).reshape(4, 5).tolist()


@FORMATS
def test_a_regression_has_numbers_and_no_classes(tmp_path, format):
    rows = RowFormat("array", "fp32", 2, (3,), "regression", targets=2)
    stored, labels = np.ones((2, 3), np.float32), np.array([[1, 2], [np.nan, np.nan]], np.float32)
    shards = FORMATS_.build(format)
    logits = torch.tensor([[0.5, 9.0], [1.0, 1.0]])
    data = shards.write(rows.encode(Rows(["s0", "s1"], stored, labels, logits, np.full(2, True))), rows)
    Folder(str(tmp_path)).write(f"train.{shards.suffix}", data)
    entry = FileEntry(
        path=f"train.{shards.suffix}", bytes=len(data), sha256=sha256(data), samples=2, source=2, labelled=1
    )
    details = {
        "rows": {"kind": "array", "codec": "fp32", "width": 2, "shape": [3], "task": "regression", "targets": 2},
        "format": format,
        "split": "train",
        "counts": {"source": 2, "auxiliary": 0, "rounds": []},
        "provenance": {},
    }
    manifest = Manifest(artifact="dataset", bpkd="1", files=[entry], fingerprint={}, details=details)
    Folder(str(tmp_path)).write(MANIFEST, pack(manifest))
    dataset = open_dataset(str(tmp_path))
    first, second = (find_sample(dataset, key) for key in ("s0", "s1"))
    assert (first.label, first.class_name, second.label) == ([1, 2], None, None)
    assert first.outputs == [Choice("0", 0.5, None), Choice("1", 9.0, None)]
    assert list(first.files) == ["input.npy"]
    assert count_classes(dataset) == []


@FORMATS
def test_a_key_that_is_not_there(write_dataset, tmp_path, format):
    write_dataset(str(tmp_path), format)
    dataset = open_dataset(str(tmp_path))
    for key, told in (("s9", "'s9'"), (" s1  ", "' s1  '"), ("s1\n", "'s1'"), ("k" * 999, f"'{'k' * 97}...'")):
        with pytest.raises(UserError) as raised:
            find_sample(dataset, key)
        assert str(raised.value).endswith(f"has no sample {told}; its keys are such as 's0'")


@FORMATS
def test_a_sample_is_not_shown_from_a_damaged_shard(write_dataset, tmp_path, format):
    write_dataset(str(tmp_path), format)
    (shard,) = tmp_path.glob("train-00001*")
    data = bytearray(shard.read_bytes())
    position = data.index(b"IDAT") + 6
    data[position] ^= 1
    shard.write_bytes(data)
    with pytest.raises(BpkdError, match=rf"^{shard}[^\n]+$"):
        find_sample(open_dataset(str(tmp_path)), "s3+r01")


@pytest.mark.parametrize("key", ["../s1", "/etc/s1", "a/b", "a\\b", ".hidden", "a\nb", "a\x1b[2J", ""])
def test_a_key_never_leads_out_of_the_directory(tmp_path, key):
    sample = Sample(key, "x", "source", None, None, None, None, None, None, None, [], {"png": b"data"})
    with pytest.raises(UserError, match="cannot be the name of a file"):
        save_sample(sample, f"{tmp_path}/saved")
    assert not list(tmp_path.iterdir())
