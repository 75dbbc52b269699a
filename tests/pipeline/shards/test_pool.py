from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.shards import ahead
from pipeline.shards.parquet import ParquetFormat
from pipeline.shards.parts import FilePart, file_parts
from pipeline.shards.pool import PartsPool
from pipeline.shards.rows import RowFormat, Rows
from pipeline.storage import Folder, sha256
from pipeline.storage.cache import DiskCache
from schemas.errors import BpkdError
from schemas.manifest import FileEntry, Manifest

CPU = torch.device("cpu")


@dataclass
class TablePart:
    """A part in memory."""

    form: RowFormat
    content: pa.Table
    samples: int
    source: int
    labelled: int = 0

    def rows(self) -> Rows:
        return self.form.decode(self.content)

    def table(self) -> pa.Table:
        return self.content

    def __str__(self) -> str:
        return f"part of {self.samples}"


def parts(form, make_table) -> list[TablePart]:
    counts = [(4, 0), (0, 3), (2, 5), (0, 0), (6, 1)]
    return [TablePart(form, make_table(form, own, mined), own + mined, own) for own, mined in counts]


def test_windows_hold_every_sample_of_their_parts_once(form, make_table):
    given = parts(form, make_table)
    pool = PartsPool(given, form, memory_mb=1, seed=0, device=CPU)
    assert list(pool.sizes) == [(12, 9)]
    window = pool.load(0)
    whole = [part.rows() for part in given]
    stored = np.concatenate([rows.stored for rows in whole])
    order = [next(i for i, other in enumerate(stored) if (other == sample).all()) for sample in window.stored.numpy()]
    assert sorted(order) == list(range(21))
    labels = np.concatenate([rows.labels for rows in whole])[order]
    assert np.array_equal(window.labels.numpy(), labels, equal_nan=labels.dtype.kind == "f")
    assert window.labels.numpy().dtype == labels.dtype and window.stored.numpy().dtype == stored.dtype
    assert torch.equal(window.logits, torch.cat([rows.logits for rows in whole])[order])
    assert np.array_equal(window.is_source, np.concatenate([rows.is_source for rows in whole])[order])
    assert torch.equal(window.batch(np.arange(3)).inputs, form.kind_.to_inputs(stored[order[:3]]))


def test_a_small_limit_makes_many_windows(form, make_table):
    pool = PartsPool(parts(form, make_table), form, memory_mb=0, seed=0, device=CPU)
    assert sorted(pool.sizes) == [(0, 3), (2, 5), (4, 0), (6, 1)]
    assert [len(pool.load(i).stored) for i in range(4)] == [sum(size) for size in pool.sizes]


@pytest.mark.parametrize("promised", [3, 5])
def test_a_part_with_another_number_of_samples_is_named(images, make_table, promised):
    part = TablePart(images, make_table(images, 4), promised, 4)
    with pytest.raises(BpkdError, match=f"part of {promised} gave 4 samples, promised were {promised}"):
        PartsPool([part], images, memory_mb=1, seed=0, device=CPU).load(0)


Shards = Callable[..., list[FilePart]]


@pytest.fixture
def shards(images, make_table) -> Shards:
    """A function (url, count, copies=None) that writes so many shards, of 1, 2, ... samples, and gives the parts."""

    def write(url: str, count: int, copies: DiskCache | None = None) -> list[FilePart]:
        entries = []
        for number in range(1, count + 1):
            name, data = f"{number}.parquet", ParquetFormat().write(make_table(images, number), images)
            Folder(url).write(name, data)
            counts = {"samples": number, "source": number, "labelled": number // 2}
            entries.append(FileEntry(path=name, bytes=len(data), sha256=sha256(data), **counts))
        manifest = Manifest(artifact="dataset", bpkd="9.9", files=entries, fingerprint={})
        return file_parts(url, manifest, images, ParquetFormat(), copies)

    return write


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The names of the files that are read from where they lie, in order."""
    read, names = Folder.read, list[str]()

    def recorded(self: Folder, name: str) -> bytes:
        names.append(name)
        return read(self, name)

    monkeypatch.setattr(Folder, "read", recorded)
    return names


def wait_for(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(10)


def test_remote_parts_are_fetched_some_at_a_time_and_give_the_same_window(shards, images, tmp_path, monkeypatch):
    local = PartsPool(shards(str(tmp_path), 9), images, memory_mb=1, seed=0, device=CPU)
    remote = PartsPool(shards(f"memory://{tmp_path.name}", 9), images, memory_mb=1, seed=0, device=CPU)
    threads, fetching, most = set(), 0, 0
    fetch, together, counting = FilePart.fetch, threading.Barrier(ahead.PARTS), threading.Lock()

    def counted(self: FilePart):
        nonlocal fetching, most
        with counting:
            threads.add(threading.current_thread())
            fetching += 1
            most = max(most, fetching)
            first = len(threads) <= ahead.PARTS
        if first and self.promised.remote:
            together.wait(10)  # nobody goes on before so many have begun
        try:
            return fetch(self)
        finally:
            with counting:
                fetching -= 1

    monkeypatch.setattr(FilePart, "fetch", counted)
    got = remote.load(0)
    assert most == ahead.PARTS and threading.main_thread() not in threads
    assert all(thread.daemon for thread in threads)
    threads.clear()
    expected = local.load(0)
    assert threads == {threading.main_thread()}  # what is local is read in turn
    assert torch.equal(got.stored, expected.stored) and torch.equal(got.logits, expected.logits)
    assert torch.equal(got.labels, expected.labels) and np.array_equal(got.is_source, expected.is_source)


def test_what_is_fetched_ahead_is_bounded_by_bytes(shards, tmp_path, monkeypatch, reads):
    parts = shards(f"memory://{tmp_path.name}", 6)
    monkeypatch.setattr(ahead, "BYTES", parts[0].remote_bytes + parts[1].remote_bytes)
    rows = ahead.read_ahead(parts)
    for number in range(1, 7):
        assert len(next(rows)) == number
        wait_for("bpkd-read-ahead")
        # The first two fit together; each of the others is larger than the first, so one is ahead and no more.
        assert sorted(reads) == [f"{name}.parquet" for name in range(1, min(number + 1, 6) + 1)]


def test_an_error_in_reading_ahead_surfaces_at_its_part(shards, tmp_path):
    parts = shards(f"memory://{tmp_path.name}", 4)
    Folder(f"memory://{tmp_path.name}").remove("3.parquet")
    rows = ahead.read_ahead(parts)
    assert [len(next(rows)) for _ in range(2)] == [1, 2]
    with pytest.raises(BpkdError, match=r"3\.parquet is missing, though the manifest lists it"):
        next(rows)


def test_the_next_window_is_copied_to_the_local_disk_and_is_then_read_there(shards, images, tmp_path, reads):
    copies = DiskCache(tmp_path / "shards", 10**6)
    parts = shards(f"memory://{tmp_path.name}", 4, copies)
    pool = PartsPool(parts, images, memory_mb=0, seed=0, device=CPU)
    assert len(pool.sizes) == 4
    pool.load(0, following=1)  # two together are more than memory_mb
    wait_for("bpkd-copy-ahead")
    assert len(reads) == 2
    Folder(f"memory://{tmp_path.name}").remove()
    assert [len(pool.load(index).stored) for index in (0, 1)] == [sum(pool.sizes[index]) for index in (0, 1)]
    pool.load(1, following=2)  # which fails, and says so where it is loaded
    wait_for("bpkd-copy-ahead")
    with pytest.raises(BpkdError, match="is missing"):
        pool.load(2)


def test_copies_made_ahead_take_half_of_the_limit(shards, tmp_path, reads):
    sizes = [part.promised.entry.bytes for part in shards(f"memory://{tmp_path.name}", 5)]
    copies = DiskCache(tmp_path / "shards", 2 * sum(sizes[:3]))
    ahead.CopyAhead(shards(f"memory://{tmp_path.name}", 5, copies))
    wait_for("bpkd-copy-ahead")
    assert sorted(reads) == ["1.parquet", "2.parquet", "3.parquet"]
