"""Some auxiliary samples beside the samples that they were mined from, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipeline.datasets.classes import class_name
from pipeline.kinds import Stored
from pipeline.logits import Logits, most_likely
from pipeline.shards.parts import FilePart, Part, shard_name
from pipeline.shards.rows import RowFormat

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
    read = cache(lambda number: _Shard(shards[number], own, rows))
    # As many of every round as can be, and other parents in each.
    wanted = [index * len(shards) // MOST for index in range(MOST)] if shards else []
    return [read(number).example(index) for index, number in enumerate(wanted) if index < shards[number].samples]


class _Shard:
    """One shard of auxiliary samples."""

    def __init__(self, part: FilePart, own: Sequence[Part], rows: RowFormat) -> None:
        self._form = rows
        table = part.table()
        self._climbs = table.select(["parent_key", "round", "gap_before", "gap_after"]).slice(0, MOST).to_pylist()
        self._rows = rows.decode(table.slice(0, MOST))
        parents = {shard_name(index): source for index, source in enumerate(own)}.get(part.path)
        self._parents = None if parents is None else parents.rows()

    def example(self, index: int) -> Example:
        climb, parents = self._climbs[index], self._parents
        parent = None
        if parents is not None:
            place = parents.keys.index(climb.pop("parent_key"))
            parent = self._seen(parents.stored, parents.logits, place)
        return Example(
            key=self._rows.keys[index],
            round=climb["round"],
            gap_before=climb["gap_before"],
            gap_after=climb["gap_after"],
            sample=self._seen(self._rows.stored, self._rows.logits, index),
            parent=parent,
        )

    def _seen(self, stored: Stored, logits: Logits, index: int) -> Seen:
        if self._form.task == "regression":
            return Seen(stored[index], "")
        return Seen(stored[index], class_name(self._form.class_names or (), int(most_likely(logits)[index])))
