"""Windows of a data set that does not fit: the next one is loaded while one is held, and nothing else changes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from pipeline.distill.batches import BatchPlan
from pipeline.distill.criterion import Criterion
from pipeline.distill.loop import Recipe, Segment, State, fit
from pipeline.distill.pool import Window
from pipeline.shards import pool as pools
from pipeline.shards.parts import file_parts
from pipeline.shards.pool import PartsPool
from pipeline.shards.rows import RowFormat, Rows
from pipeline.storage import Folder, sha256
from schemas.errors import BpkdError
from schemas.manifest import FileEntry, Manifest
from schemas.registry import FORMATS, LOSSES

CPU = torch.device("cpu")
WIDE = RowFormat("array", "fp32", 2, (32_000,), "regression", targets=2)
"""Eight samples take a MiB."""


@dataclass
class GatedPart:
    """A part whose reading is noticed, and goes on when it may."""

    content: pa.Table
    samples: int
    source: int
    labelled: int = 0
    begun: threading.Event = field(default_factory=threading.Event)
    may: threading.Event = field(default_factory=threading.Event)
    fails: bool = False

    def rows(self) -> Rows:
        self.begun.set()
        assert self.may.wait(10)
        if self.fails:
            raise BpkdError("broken")
        return WIDE.decode(self.content)

    def table(self) -> pa.Table:
        return self.content


def gated(make_table, counts: list[int]) -> tuple[PartsPool, list[list[GatedPart]]]:
    """A pool of 1 MiB over parts of so many samples, and the parts of each window."""
    parts = [GatedPart(make_table(WIDE, count), count, count) for count in counts]
    pool = PartsPool(parts, WIDE, memory_mb=1, seed=0, device=CPU)
    return pool, pool._groups


def open_all(windows: list[list[GatedPart]]) -> None:
    for parts in windows:
        for part in parts:
            part.may.set()


def reading() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "bpkd-next-window"]


def equal(one: Window, other: Window) -> bool:
    return (
        torch.equal(one.stored, other.stored)
        and torch.equal(one.logits, other.logits)
        and torch.equal(one.labels.nan_to_num(9), other.labels.nan_to_num(9))
        and np.array_equal(one.is_source, other.is_source)
    )


@pytest.mark.parametrize(
    ("counts", "sizes"), [([5, 3], [8]), ([3, 3, 3], [3, 3, 3]), ([2] * 5, [4, 4, 2]), ([6, 4, 3], [3, 4, 6])]
)
def test_what_does_not_fit_goes_through_windows_of_half_the_size(make_table, counts, sizes):
    pool, _ = gated(make_table, counts)
    assert sorted(map(sum, pool.sizes)) == sorted(sizes)


def test_the_next_window_is_loaded_while_one_is_held(make_table):
    pool, windows = gated(make_table, [4, 3, 2])
    for part in windows[0]:
        part.may.set()
    pool.load(0, following=1)
    assert windows[1][0].begun.wait(10) and not windows[2][0].begun.is_set()
    open_all(windows)
    loaded = pool.load(1, following=2)
    assert windows[2][0].begun.wait(10)
    assert equal(loaded, pool.load(1))  # of which nothing was begun
    assert equal(pool.load(2), pool.load(2))


def test_what_does_not_fit_beside_a_window_waits_until_it_is_gone(make_table):
    pool, windows = gated(make_table, [6, 3])
    open_all(windows)
    for index in (0, 1):
        pool.load(index, following=1 - index)
        assert not reading()
        assert not windows[1 - index][0].begun.is_set()
        windows[index][0].begun.clear()


def test_an_error_is_raised_where_the_window_is_loaded(make_table):
    pool, windows = gated(make_table, [4, 4, 4])
    open_all(windows)
    windows[1][0].fails = True
    pool.load(0, following=1)
    for _ in range(2):
        with pytest.raises(BpkdError, match="broken"):
            pool.load(1)
    assert len(pool.load(2).stored) == 4


def test_another_window_than_was_said_is_loaded_all_the_same(make_table):
    pool, windows = gated(make_table, [4, 4, 4])
    open_all(windows)
    pool.load(0, following=1)
    assert equal(pool.load(2), pool.load(2))
    assert not reading()


def test_who_stops_waits_for_the_part_that_is_read_and_no_more(make_table):
    pool, windows = gated(make_table, [2] * 6)
    assert [len(parts) for parts in windows] == [2, 2, 2]
    for part in windows[0]:
        part.may.set()
    pool.load(0, following=1)
    first, second = windows[1]
    assert first.begun.wait(10)
    threading.Timer(0.05, first.may.set).start()
    pool.stop()
    assert not reading() and not second.begun.is_set()


def test_who_stops_does_not_wait_for_ever(make_table, monkeypatch):
    monkeypatch.setattr(pools, "PARTING", 0.01)
    pool, windows = gated(make_table, [4, 4, 4])
    windows[0][0].may.set()
    pool.load(0, following=1)
    pool.stop()
    (left,) = reading()
    assert left.daemon
    open_all(windows)
    left.join(10)


class InTurn:
    """A pool that loads each window when its turn comes."""

    def __init__(self, pool: PartsPool) -> None:
        self.sizes, self.load_now = pool.sizes, pool.load

    def load(self, index: int, following: int | None = None) -> Window:
        return self.load_now(index)

    def stop(self) -> None:
        """Nothing is read ahead."""


class Stop(BaseException): ...


def trained(pool, steps: int, stop_at: int | None = None) -> dict[str, torch.Tensor]:
    """Weights after so many steps; whoever is stopped before leaves no thread."""
    torch.manual_seed(0)
    net = nn.Linear(WIDE.shape[0], 2)
    recipe = Recipe(BatchPlan(2, None), Criterion(LOSSES.build("mse"), 0.5, regression=True), 1e-10, "constant", 0.0)

    def on_step(state: State) -> None:
        if state.step == stop_at:
            raise Stop

    optimizer = torch.optim.SGD(net.parameters())
    try:
        fit(net, optimizer, pool, recipe, Segment(steps, 0.0, 1.0, seed=1), State(), on_step)
    except Stop:
        assert stop_at is not None
    assert not reading()
    return net.state_dict()


@pytest.mark.parametrize("format", FORMATS.names)
@pytest.mark.parametrize("stop_at", [None, 1, 6])
def test_training_sees_the_same_samples_in_the_same_order(format, stop_at, make_table, tmp_path: Path):
    writer, entries = FORMATS.build(format), []
    for number, count in enumerate([2, 4, 1, 3, 4, 2]):
        name, data = f"{number}.{writer.suffix}", writer.write(make_table(WIDE, count), WIDE)
        Folder(str(tmp_path)).write(name, data)
        counts = {"samples": count, "source": count, "labelled": count // 2}
        entries.append(FileEntry(path=name, bytes=len(data), sha256=sha256(data), **counts))
    manifest = Manifest(artifact="dataset", bpkd="9.9", files=entries, fingerprint={})
    parts = file_parts(str(tmp_path), manifest, WIDE, writer)
    pool = PartsPool(parts, WIDE, memory_mb=1, seed=0, device=CPU)
    assert len(pool.sizes) >= 4
    ahead, in_turn = trained(pool, 20, stop_at), trained(InTurn(pool), 20, stop_at)
    assert all(torch.equal(ahead[name], in_turn[name]) for name in ahead)
    assert torch.isfinite(ahead["weight"]).all()
