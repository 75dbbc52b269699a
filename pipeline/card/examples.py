"""Some auxiliary samples beside the samples that they were mined from, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipeline.datasets.classes import class_name
from pipeline.logits import most_likely
from pipeline.shards.parts import FilePart, Part, shard_name
from pipeline.shards.rows import RowFormat, Rows

MOST = 8


@dataclass(frozen=True)
class Seen:
    """A sample in stored form, and the class that the teacher sees in it ("" in a regression)."""

    stored: Any
    choice: str


@dataclass(frozen=True)
class Example:
    """The end of one climb; `parent` is None where the data set does not show what it is made from."""

    key: str
    round: int
    gap_before: float
    gap_after: float
    sample: Seen
    parent: Seen | None


def find_examples(rounds: Sequence[Sequence[FilePart]], own: Sequence[Part], rows: RowFormat) -> list[Example]:
    """The first samples of every round, not picked for being good ones; at most `MOST`.

    Args:
        rounds: the auxiliary samples of each round.
        own: the source, part i of which those of shard i were mined from; none where the source is not to be shown.
        rows: format of all.

    Reads the first shard of some rounds, and of the source what they were mined from: no more for more samples.
    """
    first = [next((part for part in parts if part.samples), None) for parts in rounds]
    shards = [part for part in first if part is not None]
    read = cache(lambda number: _read(shards[number], own, rows))
    # As many of every round as can be, and other parents in each.
    wanted = [index * len(shards) // MOST for index in range(MOST)] if shards else []
    return [read(number)[index] for index, number in enumerate(wanted) if index < shards[number].samples]


def _read(part: FilePart, own: Sequence[Part], rows: RowFormat) -> list[Example]:
    """The first samples of a shard; nothing else of it stays in memory."""
    table = part.table().slice(0, MOST)
    climbs = table.select(["key", "parent_key", "round", "gap_before", "gap_after"]).to_pylist()
    samples = _seen(rows.decode(table), rows, list(range(len(climbs))))
    source = {shard_name(index): source for index, source in enumerate(own)}.get(part.path)
    parents: list[Seen | None] = [None] * len(climbs)
    if source is not None:
        found = source.rows()
        parents = [*_seen(found, rows, [found.keys.index(climb["parent_key"]) for climb in climbs])]
    return [
        Example(climb["key"], climb["round"], climb["gap_before"], climb["gap_after"], sample, parent)
        for climb, sample, parent in zip(climbs, samples, parents, strict=True)
    ]


def _seen(found: Rows, form: RowFormat, places: list[int]) -> list[Seen]:
    stored = [copy(found.stored[place]) for place in places]  # a view would keep all of them
    if form.task == "regression":
        return [Seen(one, "") for one in stored]
    chosen = most_likely(found.logits)[places].tolist()
    names = form.class_names or ()
    return [Seen(one, class_name(names, choice)) for one, choice in zip(stored, chosen, strict=True)]
