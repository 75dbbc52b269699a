"""A folder behaves the same on this machine, in memory and in an object store."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

from pipeline.storage import Folder
from schemas.errors import BpkdError, UserError


@pytest.fixture(params=["file", "memory", "s3", "renaming"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    if request.param == "s3":
        yield Folder(f"{request.getfixturevalue('s3').url}/run")
        return
    if request.param == "renaming":
        fsspec.register_implementation("renaming", Renaming, clobber=True)
    folder = Folder({"file": f"{tmp_path}/a", "memory": "memory://run", "renaming": "renaming://run"}[request.param])
    yield folder
    folder.remove()


class Renaming(MemoryFileSystem):
    """A remote file system: what is being written can be seen, so it needs a rename."""

    protocol = "renaming"
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    seen: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.removeprefix("renaming://"))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
        self.seen.append(path)
        super().pipe_file(path, value, mode, **kwargs)

    def mv(self, path1: str, path2: str, **kwargs: object) -> None:
        self.store[self._strip_protocol(path2)] = self.store.pop(self._strip_protocol(path1))


def test_what_is_written_is_read_listed_and_found(folder: Folder) -> None:
    folder.write("b.bin", b"two")
    folder.write("a.bin", b"one")
    folder.write("a.bin", b"three")
    folder.write("deeper/still/c.bin", b"four")
    assert folder.read("a.bin") == b"three" and (folder / "deeper").read("still/c.bin") == b"four"
    assert folder.names() == ["a.bin", "b.bin"] and folder.folders() == ["deeper"]
    assert folder.find() == {"a.bin": 5, "b.bin": 3, "deeper/still/c.bin": 4}
    assert folder.is_directory() and (folder / "deeper").is_directory()
    assert not (folder / "a.bin").is_directory() and not (folder / "nothing").is_directory()
    assert folder.size("a.bin") == 5
    assert folder.exists() and folder.exists("b.bin") and folder.exists("deeper")
    assert not folder.exists("a") and not folder.exists("a.bin/below")


def test_a_file_is_read_by_its_place(folder: Folder) -> None:
    folder.write("a.bin", bytes(range(100)))
    with folder.open("a.bin") as one, folder.open("a.bin") as other:
        assert one.read(3) == b"\0\1\2" and other.read(1) == b"\0" and one.read(1) == b"\3"
        assert one.seek(-2, os.SEEK_END) == 98 and one.read() == b"bc" and one.read() == b""
        assert one.seek(10) == 10 and one.seek(5, os.SEEK_CUR) == 15 and one.tell() == 15
        with pytest.raises(OSError, match="negative"):
            one.seek(-1)


def test_what_is_absent(folder: Folder) -> None:
    assert folder.names() == folder.folders() == [] and folder.find() == {} and not folder.exists("a.bin")
    folder.remove("a.bin")
    folder.remove()
    for read in (folder.read, folder.open, folder.size):
        with pytest.raises(FileNotFoundError):
            read("a.bin")


def test_a_file_is_no_folder(folder: Folder) -> None:
    folder.write("a.bin", b"one")
    inside = folder / "a.bin"
    assert inside.names() == inside.folders() == [] and inside.find() == {}


def test_nothing_lies_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    inside = Folder(f"{tmp_path}/a")
    for read in (inside.read, inside.open, inside.size):
        with pytest.raises(FileNotFoundError):
            read("b")
    inside.remove("b")
    assert (tmp_path / "a").read_text() == "one"


@pytest.mark.parametrize("below", ["", "/b", "/b/c"])
def test_a_file_in_the_way_is_told_before_anything_is_written(tmp_path: Path, below: str) -> None:
    Folder(f"{tmp_path}/new{below}").refuse_file()
    (tmp_path / "a").write_text("")
    with pytest.raises(UserError, match=rf"^{tmp_path}/a cannot be written: a file is in the way"):
        Folder(f"{tmp_path}/a{below}").refuse_file()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_removing_a_file_and_everything(folder: Folder) -> None:
    folder.write("a.bin", b"one")
    folder.write("deeper/c.bin", b"four")
    folder.remove("a.bin")
    assert not folder.exists("a.bin") and folder.exists("deeper/c.bin")
    folder.remove()
    assert not folder.exists("deeper/c.bin") and not folder.exists()


def test_only_the_first_creates(folder: Folder) -> None:
    assert folder.create("deeper/lock", b"one")
    assert not folder.create("deeper/lock", b"two")
    assert folder.read("deeper/lock") == b"one" and folder.find() == {"deeper/lock": 3}


def test_of_many_at_once_one_creates(folder: Folder) -> None:
    if folder.url.startswith("renaming"):
        pytest.skip("its exclusive open is the server's business")
    barrier = threading.Barrier(8)

    def create(number: int) -> bool:
        barrier.wait()
        return Folder(folder.url).create("lock", b"%d" % number)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create, range(8)))
    assert sum(made) == 1 and folder.read("lock") == b"%d" % made.index(True)


def test_what_another_process_does_is_seen_at_once(folder: Folder) -> None:
    folder.write("a.bin", b"one")
    assert folder.names() == ["a.bin"] and not folder.exists("b.bin") and folder.size("a.bin") == 3
    fs = folder._fs if folder.local is None else fsspec.filesystem("file")
    other = type(fs)(skip_instance_cache=True)
    other.pipe_file(folder.path("b.bin"), b"two")
    other.pipe_file(folder.path("a.bin"), b"longer")
    assert folder.exists("b.bin") and folder.names() == ["a.bin", "b.bin"] and folder.size("a.bin") == 6
    other.rm_file(folder.path("b.bin"))
    assert not folder.exists("b.bin") and folder.names() == ["a.bin"] and folder.find() == {"a.bin": 6}


def test_a_remote_file_system_shows_a_file_under_its_name_only_when_it_is_whole() -> None:
    fsspec.register_implementation("renaming", Renaming, clobber=True)
    Renaming.seen.clear()
    folder = Folder("renaming://run")
    folder.write("a.bin", b"one")
    assert len(Renaming.seen) == 1 and Renaming.seen[0].endswith(".tmp")
    assert folder.find() == {"a.bin": 3}
    folder.remove()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = Folder(str(tmp_path))
    folder.write("a.bin", b"before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(BpkdError, match=r"/a.bin cannot be written: .*full \(.* MB free\); make room.*same command"):
        folder.write("a.bin", b"after")
    assert folder.find() == {"a.bin": 6} and folder.read("a.bin") == b"before"


def test_a_folder_that_goes_while_it_is_removed_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(str(tmp_path / "a"))
    for name in ("one", "two/three"):
        folder.write(name, b"")
    rmtree = shutil.rmtree

    def other_first(path: str) -> None:
        rmtree(f"{path}/two")
        monkeypatch.setattr(shutil, "rmtree", rmtree)
        raise FileNotFoundError(path)

    monkeypatch.setattr(shutil, "rmtree", other_first)
    folder.remove()
    assert not folder.exists()


def test_links_are_found_and_not_followed(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "a"))
    folder.write("x", b"one")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "nowhere").symlink_to(tmp_path / "gone")
    assert set(folder.find()) == {"x", "loop", "nowhere"}
    folder.remove()
    assert tmp_path.exists() and not folder.exists()


def test_an_unknown_protocol_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match=r"nosuch://\*\*\*@bucket: unknown kind .*takes a path, s3://"):
        Folder("nosuch://user:secret@bucket")


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("Please install nopackage to look", "Please install nopackage to look; `pip install nopackage`"),
        ('needs "other-name"', 'needs "other-name"'),  # the module is in a package of another name
    ],
)
def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, says: str, told: str) -> None:
    known = {"class": "nopackage.FileSystem", "err": says}
    monkeypatch.setitem(known_implementations, "missing", known)
    with pytest.raises(UserError) as raised:
        Folder("missing://bucket/x")
    assert str(raised.value) == f"missing://bucket/x: {told}"


@pytest.mark.parametrize("url", ["", "  "])
def test_an_empty_path_is_said_to_be_empty(url: str) -> None:
    with pytest.raises(UserError, match=r"^a path is empty; name a directory"):
        Folder(url)
