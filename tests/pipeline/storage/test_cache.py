"""Copies give the bytes that were asked for, stay within their limit, and never cost the run."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.storage.cache import DiskCache, cache_folder, disk_cache
from schemas.config import parse_config

SIZE = 40


def content(number: int, size: int = SIZE) -> bytes:
    return bytes([number]) * size


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def never() -> bytes:
    raise AssertionError("this has a copy")


def read(cache: DiskCache, data: bytes, fetch: Callable[[], bytes] | None = None) -> bytes:
    return cache.read(digest(data), len(data), fetch or (lambda: data))


def copies(folder: Path) -> dict[str, bytes]:
    """All files but locks and the count: copies, and what a writer left."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if len(path.name) >= 64}


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "shards", 100)


def test_a_file_is_fetched_once(cache):
    assert read(cache, content(1)) == content(1)
    assert read(cache, content(1), never) == content(1)
    assert read(DiskCache(cache.folder, 100), content(1), never) == content(1)
    assert copies(cache.folder) == {digest(content(1)): content(1)}
    assert cache.has(digest(content(1)), SIZE) and not cache.has(digest(content(2)), SIZE)


@pytest.mark.parametrize("damaged", [content(2), b"", content(1, SIZE - 1), content(1, SIZE + 1)])
def test_a_damaged_copy_is_thrown_away_and_fetched_again(cache, damaged, caplog):
    read(cache, content(1))
    path = cache.folder / digest(content(1))
    path.write_bytes(damaged)
    assert read(cache, content(1)) == content(1)
    assert path.read_bytes() == content(1) and "is damaged" in caplog.text


def test_a_copy_that_vanishes_is_fetched_again(cache):
    read(cache, content(1))
    for path in cache.folder.iterdir():
        path.unlink()
    assert read(cache, content(1)) == content(1)
    assert read(cache, content(1), never) == content(1)


def test_what_fetching_raises_comes_through_and_nothing_is_kept(cache):
    def fail() -> bytes:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        read(cache, content(1), fail)
    assert copies(cache.folder) == {}
    assert read(cache, content(1)) == content(1)


def test_the_least_recently_used_go_first_and_what_is_too_large_is_not_kept(cache):
    for number in (1, 2, 1, 3):
        read(cache, content(number))
    assert set(copies(cache.folder)) == {digest(content(1)), digest(content(3))}
    for number in (1, 2):
        assert read(cache, content(number, 101)) == content(number, 101)
    assert set(copies(cache.folder)) == {digest(content(1)), digest(content(3))}
    read(cache, content(9, 100))
    assert set(copies(cache.folder)) == {digest(content(9, 100))}


def test_another_process_may_have_another_limit_and_files_of_others_stay(cache):
    (cache.folder / "notes").mkdir(parents=True)
    for number in range(1, 9):
        read(DiskCache(cache.folder, 400), content(number))
    read(cache, content(9))
    assert set(copies(cache.folder)) == {digest(content(8)), digest(content(9))} and (cache.folder / "notes").is_dir()


def test_what_a_killed_writer_left_is_removed(cache):
    cache.folder.mkdir()
    (cache.folder / f"{digest(content(1))}.0123456789ab.tmp").write_bytes(content(1)[:7])
    (cache.folder / "used").write_text("12")  # of which nothing is there
    read(cache, content(1))
    assert copies(cache.folder) == {digest(content(1)): content(1)}
    assert (cache.folder / "used").read_text() == str(SIZE)


def test_threads_that_want_the_same_file_fetch_it_once(cache):
    asked, found = [], []

    def fetch() -> bytes:
        asked.append(1)
        everyone.wait(10)  # all are there before the first is done
        return content(1)

    everyone = threading.Barrier(4)

    def want(first: bool) -> None:
        if not first:
            everyone.wait(10)
        found.append(read(cache, content(1), fetch))

    threads = [threading.Thread(target=want, args=(number == 0,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [content(1)] * 4 and len(asked) == 1


WORKER = """
import hashlib, pathlib, random, sys
from pipeline.storage.cache import DiskCache

folder, limit, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
cache, draw, fetched = DiskCache(folder, limit), random.Random(seed), 0
for _ in range(100):
    number = draw.randrange(12)
    data = bytes([number]) * (1000 + 100 * number)
    def fetch():
        global fetched
        fetched += 1
        return data
    assert cache.read(hashlib.sha256(data).hexdigest(), len(data), fetch) == data
print(fetched)
"""


@pytest.mark.parametrize("limit", [12_000, 100_000])
def test_processes_share_a_folder_and_its_limit(tmp_path, limit):
    folder = tmp_path / "shards"
    folder.mkdir()
    command = [sys.executable, "-c", WORKER, str(folder), str(limit)]
    workers = [subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True) for seed in range(3)]
    most = 0
    while any(worker.poll() is None for worker in workers):
        with FileLock(folder / "lock"):
            found = [path.stat().st_size for path in folder.iterdir() if len(path.name) >= 64]
        most = max(most, sum(found))
    fetched = [int(worker.communicate()[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert 0 < most <= limit
    assert all(digest(data) == name for name, data in copies(folder).items())
    if limit < 12 * 1550:  # all files together
        assert all(12 < count < 100 for count in fetched)
    else:
        assert sum(fetched) == 12


def in_the_way(cache: DiskCache) -> None:
    cache.folder.write_bytes(b"")


def no_lock(cache: DiskCache) -> None:
    (cache.folder / "lock").mkdir(parents=True)


@pytest.mark.parametrize("spoil", [in_the_way, no_lock])
def test_a_folder_that_cannot_be_used_costs_one_warning(cache, spoil, caplog):
    spoil(cache)
    for number in (1, 2, 1):
        assert read(cache, content(number)) == content(number)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"no more copies of remote files are kept in {cache.folder} (")


def test_others_that_write_for_long_cost_one_copy(cache, monkeypatch, caplog):
    monkeypatch.setattr("pipeline.storage.cache._WRITING", 0)
    cache.folder.mkdir()
    with FileLock(cache.folder / "lock"):
        assert read(cache, content(1)) == content(1)
    assert copies(cache.folder) == {} and not caplog.records
    assert read(cache, content(2)) == content(2)
    assert copies(cache.folder) == {digest(content(2)): content(2)}


def test_a_disk_that_takes_no_more_costs_one_warning_and_what_is_there_is_used(tmp_path, caplog):
    cache = DiskCache(tmp_path / "shards", 10**6)
    read(cache, content(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        for number in (2, 3):
            assert read(cache, content(number, 9000)) == content(number, 9000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read(cache, content(1), never) == content(1)
    assert len(caplog.records) == 1 and "File too large" in caplog.text
    assert set(copies(cache.folder)) == {digest(content(1))}


@pytest.mark.parametrize(("given", "limit"), [("0", None), (0, None), ("20GB", 20 * 10**9), ("1.5 KiB", 1536)])
def test_the_config_says_how_much_and_the_environment_where(tmp_path, monkeypatch, given, limit):
    values = {"output": "run", "disk_cache": given}
    config = parse_config(
        {"run": values, "data": {"train": "a"}, "teacher": {"factory": "zoo:cnn"}, "student": {"factory": "zoo:cnn"}},
        root=tmp_path,
    )
    monkeypatch.setenv("BPKD_CACHE", str(tmp_path / "here"))
    found = disk_cache(config.run.disk_cache_bytes)
    assert (found and found.limit) == limit
    if found is not None:
        assert found.folder == tmp_path / "here" / "shards" and disk_cache(config.run.disk_cache_bytes) is found
    monkeypatch.delenv("BPKD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert cache_folder().parts[-2:] == ("bpkd", "shards")
    assert os.name != "posix" or sys.platform == "darwin" or cache_folder().is_relative_to(tmp_path / "user")
