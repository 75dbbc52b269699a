"""What stands in the tars, as other programs see it."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest

from pipeline.shards.tar import read_tar, write_tar
from pipeline.shards.webdataset import WebDatasetFormat
from schemas.errors import UserError


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def load(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data), allow_pickle=False)


def test_every_sample_has_the_same_members(images, numbers, make_table):
    for form, expected in ((images, "png cls teacher.npy json"), (numbers, "input.npy target.npy teacher.npy json")):
        found = list(members(WebDatasetFormat().write(make_table(form, 4, 3), form)))
        keys = [f"s{i}" for i in range(4)] + [f"s{i}+r02" for i in range(3)]
        assert found == [f"{key}.{extension}" for key in keys for extension in expected.split()]


def test_contents_of_image_samples(images, make_table):
    table = make_table(images, 4, 2)
    found = members(WebDatasetFormat().write(table, images))
    assert [found[f"{key}.cls"] for key in ("s0", "s1", "s3", "s0+r02")] == [b"-1", b"1", b"0", b"-1"]
    assert found["s1.png"] == table["image"][1].as_py()["bytes"]
    logits = load(found["s1+r02.teacher.npy"])
    assert logits.dtype == np.float16 and logits.tolist() == table["teacher_logits"][5].as_py()


def test_json_has_values_of_the_same_types_in_every_sample(images, make_table):
    found = members(WebDatasetFormat().write(make_table(images, 2, 2), images))
    own, mined = json.loads(found["s0.json"]), json.loads(found["s1+r02.json"])
    assert mined == {"origin": "auxiliary", "parent_key": "s1", "round": 2, "gap_before": 1, "gap_after": 2, "steps": 1}
    assert {name: type(value) for name, value in own.items()} == {name: type(value) for name, value in mined.items()}
    assert own["origin"] == "source" and own["round"] == 0 and own["gap_after"] == -1


def test_targets_are_npy_with_nan_where_unknown(numbers, make_table):
    table = make_table(numbers, 2)
    found = members(WebDatasetFormat().write(table, numbers))
    unknown, known = load(found["s0.target.npy"]), load(found["s1.target.npy"])
    assert unknown.dtype == known.dtype == np.float32 and np.isnan(unknown).all()
    assert known.tolist() == table["label"][1].as_py() and table["label"][0].as_py() is None


@pytest.mark.parametrize(
    ("extension", "content", "reason"),
    [
        ("cls", b"two", "sample s2: cls 'two' is no class index"),
        ("cls", b"9" * 30, "sample s2: cls '9+' is no class index"),
        ("teacher.npy", b"", "magic|EOF"),
        ("json", b"[]", "sample s2: its JSON must have origin"),
        ("json", b"{}", "origin"),
        ("json", b'{"origin": "auxiliary"}', "parent_key"),
        ("json", b"[" * 1500, "sample s2: not JSON: .*recursion"),
        ("json", b"[" * 100_000, "sample s2: 100,000 bytes of JSON, the limit is 4,096"),
        ("jpg", b"", "sample s2 has a member 'jpg', must have png, cls"),
        ("cls", None, "has members png, teacher.npy, json, must have png, cls"),
    ],
)
def test_a_foreign_member_is_refused_in_one_line(images, make_table, extension, content, reason):
    files = dict(read_tar(WebDatasetFormat().write(make_table(images, 3), images)))
    files.pop(f"s2.{extension}", None)
    if content is not None:
        files[f"s2.{extension}"] = content
    with pytest.raises(UserError, match=f"not a shard of this data set: .*({reason})") as caught:
        WebDatasetFormat().read(write_tar(files.items()), images)
    assert "\n" not in str(caught.value)


def test_webdataset_reads_it_without_decoders(images, make_table, tmp_path):
    wds = pytest.importorskip("webdataset")
    table = make_table(images, 3, 2)
    (tmp_path / "shard.tar").write_bytes(WebDatasetFormat().write(table, images))
    samples = list(wds.WebDataset(str(tmp_path / "shard.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == table["key"].to_pylist()
    assert [int(sample["cls"]) for sample in samples] == [-1, 1, -1, -1, -1]
    assert [load(sample["teacher.npy"]).tolist() for sample in samples] == table["teacher_logits"].to_pylist()
