from __future__ import annotations

import os

import pytest

from pipeline.storage import Folder, file_fingerprint
from schemas.errors import UserError


@pytest.fixture(params=["file", "memory"])
def folder(request, tmp_path):
    folder = Folder(f"{tmp_path}/a" if request.param == "file" else f"memory://{tmp_path.name}")
    yield folder
    folder.remove()


def test_what_is_written_is_read_and_listed(folder):
    folder.write("b.bin", b"two")
    folder.write("a.bin", b"one")
    folder.write("a.bin", b"three")
    folder.write("deeper/c.bin", b"four")
    assert folder.read("a.bin") == b"three" and (folder / "deeper").read("c.bin") == b"four"
    assert folder.names() == ["a.bin", "b.bin"]
    with folder.open("b.bin") as file:
        assert file.read() == b"two"


def test_what_is_absent(folder):
    assert folder.names() == [] and not folder.exists("a.bin")
    folder.remove("a.bin")
    with pytest.raises(FileNotFoundError):
        folder.read("a.bin")


def test_removing_a_file_and_everything(folder):
    folder.write("a.bin", b"one")
    folder.write("deeper/c.bin", b"four")
    folder.remove("a.bin")
    assert not folder.exists("a.bin") and folder.exists("deeper/c.bin")
    folder.remove()
    assert not folder.exists("deeper/c.bin")


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    folder = Folder(str(tmp_path))
    folder.write("a.bin", b"before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        folder.write("a.bin", b"after")
    assert folder.names() == ["a.bin"] and folder.read("a.bin") == b"before"


def test_an_unknown_protocol_is_the_users_mistake():
    with pytest.raises(UserError, match=r"nosuch://bucket"):
        Folder("nosuch://bucket")


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_a_fingerprint_is_of_the_content(tmp_path, protocol):
    root = str(tmp_path) if protocol == "file" else f"memory://{tmp_path.name}"
    for name, data in (("a", b"same"), ("b", b"same"), ("c", b"other")):
        Folder(root).write(name, data)
    first, twin, other = (file_fingerprint(f"{root}/{name}") for name in "abc")
    assert first == twin != other and first["bytes"] == 4
    with pytest.raises(UserError, match="no such file"):
        file_fingerprint(f"{root}/gone")
