"""Which samples a card shows: of all rounds, with what they came from, and no more read than needed."""

from __future__ import annotations

import re
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.card.examples import MOST, find_examples
from pipeline.shards.parts import FilePart, Part, shard_name
from pipeline.shards.rows import Climbs, RowFormat, Rows

FORM = RowFormat("image", "fp16", 3, (1, 2, 2), "classification", class_names=("cat", "dog", "eel"))


class Shard:
    """Samples in memory, which count how often they are read."""

    def __init__(self, path: str, rows: Rows, climbs: Climbs | None = None) -> None:
        self.path, self.samples, self.reads = path, len(rows), 0
        self._rows, self._climbs = rows, climbs

    def rows(self) -> Rows:
        self.reads += 1
        return self._rows

    def table(self) -> pa.Table:
        return FORM.encode(self.rows(), self._climbs)


def source(index: int, count: int) -> Shard:
    keys = [f"s{index}-{row}" for row in range(count)]
    stored = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(2, 2).repeat(2, 3)
    logits = torch.eye(3)[torch.arange(count) % 3]
    return Shard("", Rows(keys, stored, np.arange(count) % 3, logits, np.full(count, True)))


def mined(index: int, count: int, round_: int) -> Shard:
    """In another order than the source, all of them eels."""
    own, order = source(index, count).rows(), list(reversed(range(count)))
    parents = [own.keys[row] for row in order]
    keys, gaps = [f"{key}+r{round_:02d}" for key in parents], np.arange(count, dtype=np.float32)
    logits = torch.eye(3)[[2] * count]
    rows = Rows(keys, own.stored[order] + 100, np.full(count, -1), logits, np.full(count, False))
    return Shard(shard_name(index), rows, Climbs(parents, round_, gaps, gaps + round_, gaps.astype(np.int64)))


def found(rounds: list[list[Shard]], own: list[Shard]) -> list[Any]:
    return find_examples(cast(list[list[FilePart]], rounds), cast(list[Part], own), FORM)


@pytest.mark.parametrize("rounds", [1, 2, 3, 8, 20])
def test_all_rounds_and_the_right_parents(rounds: int) -> None:
    own = [source(0, 12), source(1, 12)]
    shards = [[mined(0, 12, number), mined(1, 12, number)] for number in range(1, rounds + 1)]
    examples = found(shards, own)
    assert len(examples) == MOST and len({example.round for example in examples}) == min(rounds, MOST)
    assert len({re.sub(r"\+.*", "", example.key) for example in examples}) == MOST, "other parents in each round"
    for example in examples:
        number = int(example.key[3:].partition("+")[0])
        assert example.parent is not None and (example.parent.stored == number).all()
        assert (example.sample.stored == number + 100).all()
        assert (example.parent.choice, example.sample.choice) == (FORM.class_names[number % 3], "eel")  # type: ignore[index]
        assert example.gap_after == example.gap_before + example.round
    assert own[1].reads == 0 and all(first.reads <= 1 and second.reads == 0 for first, second in shards)


def test_nothing_of_what_was_read_stays() -> None:
    examples = found([[mined(0, 12, 1)]], [source(0, 12)])
    assert all(seen.stored.base is None for one in examples for seen in (one.sample, one.parent))


def test_a_source_that_is_not_to_be_shown() -> None:
    assert all(example.parent is None for example in found([[mined(0, 12, 1)]], []))


@pytest.mark.parametrize("rounds", [[], [[]], [[mined(0, 0, 1)]]])
def test_no_samples_no_examples(rounds: list[list[Shard]]) -> None:
    assert found(rounds, [source(0, 3)]) == []


def test_a_shard_that_is_small_or_not_the_first() -> None:
    examples = found([[mined(0, 0, 1), mined(1, 3, 1)]], [source(0, 3), source(1, 3)])
    assert [example.key for example in examples] == ["s1-2+r01", "s1-1+r01", "s1-0+r01"]
