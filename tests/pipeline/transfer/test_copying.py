"""Copying artifacts: all that the manifest lists and nothing else, whatever was there and whenever it stops."""

from __future__ import annotations

import os
import tracemalloc
import uuid
from pathlib import Path

import pytest

from pipeline.artifacts.ledger import LOCK
from pipeline.artifacts.lock import Lock
from pipeline.storage import Folder, sha256
from pipeline.transfer import copying as module
from pipeline.transfer.copying import transfer
from schemas.errors import BpkdError, UserError
from schemas.manifest import MANIFEST, FileEntry, Manifest, pack

FILES = {"train-0.tar": b"a" * 3000, "train-1.tar": b"b" * 3000, "deep/er/card.md": b"# card", "empty.bin": b""}
OTHER = {"train-0.tar": b"c" * 3000, "only-here.tar": b"d" * 10}


@pytest.fixture(params=["file", "memory", "s3"])
def remote(request, tmp_path):
    """A directory that is not there yet, on each kind of store."""
    if request.param == "s3":
        return f"{request.getfixturevalue('s3').url}/set"
    return f"memory://{uuid.uuid4()}" if request.param == "memory" else f"{tmp_path}/remote"


@pytest.fixture
def source(tmp_path):
    return make(f"{tmp_path}/source", FILES)


def make(url: str, files: dict[str, bytes], artifact: str = "dataset") -> str:
    for name, data in files.items():
        Folder(url).write(name, data)
    entries = [FileEntry(path=name, bytes=len(data), sha256=sha256(data)) for name, data in files.items()]
    manifest = Manifest(artifact=artifact, bpkd="1", files=entries, fingerprint={})
    Folder(url).write(MANIFEST, pack(manifest))
    return url


def contents(url: str) -> dict[str, bytes]:
    return {name: Folder(url).read(name) for name in Folder(url).find()}


def test_there_and_back(source, remote, tmp_path):
    sent = transfer(source, remote)
    assert (sent.sent, sent.kept, sent.sent_bytes) == (4, 0, 6006)
    assert contents(remote) == contents(source)
    back = transfer(remote, f"{tmp_path}/back")
    assert back.manifest == sent.manifest
    assert contents(f"{tmp_path}/back") == contents(source) and not Path(tmp_path, "back/_progress").exists()


def test_any_finished_artifact_can_be_copied(tmp_path):
    url = make(f"{tmp_path}/student", {"model.safetensors": b"weights"}, artifact="student")
    assert transfer(url, f"{tmp_path}/copy").manifest.artifact == "student"


def test_what_the_manifest_does_not_list_stays_behind(source, tmp_path):
    Path(source, "notes.txt").write_text("mine")
    transfer(source, f"{tmp_path}/copy")
    assert sorted(contents(f"{tmp_path}/copy")) == sorted([*FILES, MANIFEST])


def test_the_manifest_comes_last(source, tmp_path, monkeypatch):
    written = []
    for name in ("write", "write_blocks"):
        note(monkeypatch, name, written)
    transfer(source, f"{tmp_path}/copy")
    assert written[-1] == MANIFEST and set(FILES) < set(written[:-1])


def note(monkeypatch, name, written):
    original = getattr(Folder, name)

    def noting(folder, path, data):
        original(folder, path, data)
        written.append(path)

    monkeypatch.setattr(Folder, name, noting)


def fail_at(monkeypatch, name: str, error: BaseException) -> None:
    original = Folder.write_blocks

    def failing(folder, path, blocks):
        if path == name:
            raise error
        original(folder, path, blocks)

    monkeypatch.setattr(Folder, "write_blocks", failing)


@pytest.mark.parametrize("error", [BpkdError("disk full"), KeyboardInterrupt()])
def test_an_interrupted_transfer_goes_on(source, remote, monkeypatch, error):
    with monkeypatch.context() as patch:
        fail_at(patch, "train-1.tar", error)
        with pytest.raises(type(error)):
            transfer(source, remote, jobs=1)
    assert not Folder(remote).exists(MANIFEST)
    with pytest.raises(UserError, match="is a copy that is not complete"):
        transfer(remote, f"{remote}-2")
    done = transfer(source, remote)
    assert (done.kept, done.kept_bytes) == (1, 3000) and done.sent == 3
    assert contents(remote) == contents(source)


def test_a_killed_transfer_leaves_nothing_for_long(source, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fail_at(patch, "train-1.tar", BpkdError("killed"))
        with pytest.raises(BpkdError):
            transfer(source, f"{tmp_path}/copy", jobs=1)
    for name in ("train-1.tar.0a1b2c.tmp", "deep/er/card.md.0a.tmp", "manifest.json.ff.tmp", "_progress/x.json.0.tmp"):
        Folder(f"{tmp_path}/copy").write(name, b"half")
    transfer(source, f"{tmp_path}/copy")
    assert contents(f"{tmp_path}/copy") == contents(source)


@pytest.mark.parametrize("damage", [b"x" * 3000, b"short", None])
def test_files_that_are_wrong_at_the_target_are_sent_again(source, remote, damage):
    transfer(source, remote)
    Folder(remote).remove("train-1.tar") if damage is None else Folder(remote).write("train-1.tar", damage)
    done = transfer(source, remote)
    assert (done.sent, done.kept) == (1, 3)
    assert contents(remote) == contents(source)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"a" * 2999 + b"x", "train-0.tar is damaged: its sha256 is not the manifest's"),
        (b"a" * 2999, "train-0.tar has 2,999 bytes, the manifest promises 3,000"),
        (b"a" * 3001, "train-0.tar has 3,001 bytes, the manifest promises 3,000"),
        (None, "train-0.tar is missing, though the manifest lists it"),
    ],
)
def test_damage_at_the_source_does_not_spread(source, remote, damage, message):
    Folder(source).remove("train-0.tar") if damage is None else Folder(source).write("train-0.tar", damage)
    with pytest.raises(BpkdError, match=message):
        transfer(source, remote)
    there = contents(remote)
    assert MANIFEST not in there and "train-0.tar" not in there
    assert not [name for name in there if name.endswith(".tmp")]


def test_what_a_store_did_not_keep_is_noticed(source, monkeypatch):
    original = Folder.write

    def lossy(folder, name, data):
        original(folder, name, b"?" * len(data) if name == "train-1.tar" else data)

    monkeypatch.setattr(Folder, "write", lossy)
    with pytest.raises(BpkdError, match=r"train-1.tar is not what was written"):
        transfer(source, f"memory://{uuid.uuid4()}")


def test_another_data_set_is_replaced_only_on_request(source, remote):
    make(remote, OTHER)
    before = contents(remote)
    with pytest.raises(UserError, match=r"holds another 'dataset'; --replace puts"):
        transfer(source, remote)
    assert contents(remote) == before
    transfer(source, remote, replace=True)
    assert contents(remote) == contents(source)


def test_an_interrupted_replacement_is_no_data_set_and_goes_on(source, remote, monkeypatch):
    make(remote, OTHER)
    with monkeypatch.context() as patch:
        fail_at(patch, "train-1.tar", BpkdError("stopped"))
        with pytest.raises(BpkdError):
            transfer(source, remote, replace=True, jobs=1)
    assert not Folder(remote).exists(MANIFEST)
    transfer(source, remote)
    assert contents(remote) == contents(source)


def test_a_damaged_manifest_at_the_target(source, tmp_path):
    transfer(source, f"{tmp_path}/copy")
    Path(tmp_path, "copy", MANIFEST).write_text("{")
    with pytest.raises(UserError, match=r"manifest.json is damaged"):
        transfer(source, f"{tmp_path}/copy")
    assert transfer(source, f"{tmp_path}/copy", replace=True).kept == 4
    assert contents(f"{tmp_path}/copy") == contents(source)


@pytest.mark.parametrize("name", ["thesis.tex", "deep/thesis.tex", "train-0.tar", "x.tmp"])
def test_files_of_others_are_left_alone(source, remote, name):
    Folder(remote).write(name, b"years of work")
    with pytest.raises(UserError, match=f"holds other files, such as '{name}'; name another place"):
        transfer(source, remote, replace=True)
    assert contents(remote) == {name: b"years of work"}


def test_files_of_others_beside_a_data_set_are_left_alone(source, remote):
    make(remote, OTHER)
    Folder(remote).write("thesis.tex", b"years of work")
    with pytest.raises(UserError, match=r"thesis.tex"):
        transfer(source, remote, replace=True)
    assert contents(remote)["only-here.tar"] == OTHER["only-here.tar"]


def test_hidden_files_are_no_hindrance(source, tmp_path):
    Folder(f"{tmp_path}/copy").write(".git/config", b"mine")
    transfer(source, f"{tmp_path}/copy")
    assert contents(f"{tmp_path}/copy") == {**contents(source), ".git/config": b"mine"}


def test_an_artifact_that_is_being_made_is_left_alone(source, tmp_path):
    Folder(f"{tmp_path}/copy").write("_progress/begun.json", b'{"artifact": "dataset", "fingerprint": {}}')
    with pytest.raises(UserError, match="still being made"):
        transfer(source, f"{tmp_path}/copy")


def test_a_second_transfer_to_the_same_place_waits_for_its_turn(source, remote):
    lock = Lock(Folder(remote), LOCK)
    lock.acquire()
    try:
        with pytest.raises(BpkdError, match="process"):
            transfer(source, remote)
    finally:
        lock.release()
    assert transfer(source, remote).sent == 4


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.write("_progress/begun.json", b"{}"), "is not finished"),
        (lambda folder: folder.write(MANIFEST, b"{}"), "manifest.json: "),
        (lambda folder: make(folder.url, {"_progress/begun.json": b""}), "_progress/ is for unfinished work"),
    ],
)
def test_what_is_no_finished_artifact_is_refused(tmp_path, prepare, message):
    prepare(Folder(f"{tmp_path}/source"))
    with pytest.raises(UserError, match=message):
        transfer(f"{tmp_path}/source", f"{tmp_path}/copy")
    assert not Path(tmp_path, "copy").exists()


@pytest.mark.parametrize("same", ["{}", "{}/", "{}/../source", "{}/../link"])
def test_a_copy_onto_itself_is_refused(source, tmp_path, same):
    os.symlink(source, tmp_path / "link")
    with pytest.raises(UserError, match="is the source itself"):
        transfer(source, same.format(source), replace=True)


@pytest.mark.parametrize("name", ["deep", "deep/er", "train-0.tar", MANIFEST, "_progress"])
def test_nothing_is_written_through_a_symlink(source, tmp_path, name):
    outside, link = tmp_path / "outside", tmp_path / "copy" / name
    outside.mkdir()
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(UserError, match=f"copy/{name} is a symlink"):
        transfer(source, f"{tmp_path}/copy", replace=True)
    assert not list(outside.iterdir())


def test_the_target_itself_may_be_a_symlink(source, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "copy").symlink_to(tmp_path / "disk")
    transfer(source, f"{tmp_path}/copy")
    assert contents(f"{tmp_path}/disk") == contents(source)


def test_paths_that_cannot_be_together_fail_in_one_line(s3, tmp_path):
    source = make(f"{s3.url}/set", {"a": b"1", "a/b": b"2"})
    with pytest.raises(BpkdError, match=r"^[^\n]*copy/a[^\n]*$"):
        transfer(source, f"{tmp_path}/copy")
    assert MANIFEST not in contents(f"{tmp_path}/copy")


def test_a_large_file_does_not_fill_the_memory_on_its_way_to_a_disk(tmp_path):
    source = make(f"{tmp_path}/source", {"large.bin": bytes(2**25)})
    tracemalloc.start()
    try:
        transfer(source, f"{tmp_path}/copy")
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_few_large_files_are_put_at_a_time(source, monkeypatch):
    together = []
    monkeypatch.setattr(module, "MEMORY", 6000)
    monkeypatch.setattr(
        module, "at_once", lambda jobs, calls, stop: together.append(jobs) or [call() for call in calls]
    )
    transfer(source, f"memory://{uuid.uuid4()}")
    assert together == [2]


def test_a_store_that_fails_for_a_moment_is_asked_again(source, s3):
    s3.fail(503, when=lambda number, request: number % 4 == 1)
    transfer(source, f"{s3.url}/set")
    assert s3.failed > 1
    s3.fail(503, when=lambda number, request: False)
    assert contents(f"{s3.url}/set") == contents(source)
