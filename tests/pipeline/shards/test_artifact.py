from __future__ import annotations

import json

import pytest

from pipeline.shards.artifact import Artifact, read_manifest
from pipeline.storage import Folder
from schemas.errors import UserError
from schemas.manifest import FailedSample

FINGERPRINT = {"teacher": {"sha256": "aa"}, "seed": 0}


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path):
    url = f"{tmp_path}/artifact" if request.param == "file" else f"memory://{tmp_path.name}/artifact"
    yield url
    Folder(url).remove()


def make(url: str, units: int = 3, **changes) -> Artifact:
    artifact = Artifact(url, "thing", {**FINGERPRINT, **changes})
    for unit in range(units):
        if not artifact.done(f"u{unit}"):
            entry = artifact.write(f"u{unit}.bin", b"x" * unit, samples=unit)
            failures = [FailedSample(key=f"k{unit}", stage="read", reason="broken")] if unit == 1 else []
            artifact.commit(f"u{unit}", [entry], failures)
    return artifact


def contents(url: str) -> dict[str, bytes]:
    folder = Folder(url)
    return {name: folder.read(name) for name in folder.names()}


def test_manifest_lists_every_file_with_size_hash_and_failures(url):
    manifest = make(url).finish(["u0", "u1", "u2"], {"note": 1})
    assert [file.path for file in manifest.files] == ["u0.bin", "u1.bin", "u2.bin", "failures.jsonl"]
    assert manifest.samples == 3 and manifest.failures == 1
    assert json.loads(Folder(url).read("failures.jsonl"))["key"] == "k1"
    assert read_manifest(url, "thing") == manifest
    assert set(contents(url)) == {"u0.bin", "u1.bin", "u2.bin", "failures.jsonl", "manifest.json"}


def test_taking_up_unfinished_work_gives_the_same_bytes(url, tmp_path):
    make(url, units=2)
    resumed = make(url)
    resumed.finish(["u0", "u1", "u2"])
    whole = f"{tmp_path}/whole"
    make(whole).finish(["u0", "u1", "u2"])
    assert contents(url) == contents(whole)


def test_committed_units_are_not_made_again(url):
    make(url, units=2)
    artifact = Artifact(url, "thing", FINGERPRINT)
    assert [artifact.done(f"u{unit}") for unit in range(3)] == [True, True, False]
    assert artifact.report("u1").failures[0].key == "k1"


@pytest.mark.parametrize("finished", [True, False])
def test_another_fingerprint_is_refused_and_named(url, finished):
    artifact = make(url)
    if finished:
        artifact.finish(["u0", "u1", "u2"])
    with pytest.raises(UserError, match=r'teacher.sha256 = "aa", now it is "bb".*--restart'):
        Artifact(url, "thing", {**FINGERPRINT, "teacher": {"sha256": "bb"}})
    assert Artifact(url, "thing", {"seed": 1}, restart=True).manifest is None


def test_without_a_manifest_it_does_not_exist(url):
    with pytest.raises(UserError, match=r"does not exist; make it with `bpkd cache CONFIG`"):
        read_manifest(url, "cache CONFIG")
    make(url)
    with pytest.raises(UserError, match=r"is not finished"):
        read_manifest(url, "cache CONFIG")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}', '{"format": "bpkd", "version": 2}'])
def test_a_manifest_that_is_none_is_refused_in_one_line(url, text):
    Folder(url).write("manifest.json", text.encode())
    with pytest.raises(UserError, match=r"manifest.json: ") as caught:
        read_manifest(url, "export CONFIG")
    assert "\n" not in str(caught.value)


def test_state_of_unfinished_work_goes_with_the_finish(url):
    artifact = make(url)
    artifact.save_state("checkpoint", b"abc")
    assert Artifact(url, "thing", FINGERPRINT).load_state("checkpoint") == b"abc"
    artifact.finish(["u0", "u1", "u2"])
    assert artifact.load_state("checkpoint") is None
