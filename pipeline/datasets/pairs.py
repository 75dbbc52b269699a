"""A few auxiliary samples of a data set beside the samples that they were climbed from."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.datasets.dataset import Dataset
from pipeline.shards.origins import AUXILIARY, SOURCE
from pipeline.shards.parts import FilePart

Item = TypeVar("Item")

STUDENT = pa.field("student_logits", pa.list_(pa.float32()))

PAIRS = 24
"""Auxiliary samples, at most."""

SCANNED, SCANNED_BYTES = 100_000, 2**28
"""Samples of a data set, the first ones, and bytes of shards, in which they are looked for: whichever is met first."""

_COLUMNS = ["key", "origin", "parent_key", "round", "gap_after"]


def choose_pairs(dataset: Dataset) -> pa.Table:
    """Rows of the data set: auxiliary samples of all rounds, or of as many rounds as there is room for, then parents.

    Of each round those with the largest gap at the end of the climb, the smallest, and some evenly between. The parents
    come with them where the data set has them near by. No more than one shard is in memory.

    Raises:
        UserError: a shard is not what the manifest promises.
        BpkdError: a shard is missing or damaged.
    """
    parts = scanned(dataset)
    batches = [batch for part in parts for batch in part.columns(_COLUMNS)]
    known = pa.Table.from_batches(batches) if batches else None
    keys = _chosen(known) if known is not None else {}
    rows = []
    for part in parts if keys else ():
        table = part.table()
        rows.append(table.filter(pc.is_in(table["key"], pa.array(keys, pa.string()))))
    found = pa.concat_tables(rows) if rows else dataset.rows.schema.empty_table()
    order = np.argsort([keys[key] for key in found["key"].to_pylist()], kind="stable")
    return found.take(pa.array(order, pa.int64()))


def scanned(dataset: Dataset) -> list[FilePart]:
    """The shards in which samples are looked for, which takes time."""
    parts, seen, size = [], 0, 0
    for part in dataset.parts:
        if seen >= SCANNED or size >= SCANNED_BYTES:
            break
        parts.append(part)
        seen += part.samples
        size += part.promised.entry.bytes
    return parts


def with_answers(pairs: pa.Table, student: npt.NDArray[np.float32]) -> pa.Table:
    """Such rows with a column `student_logits` of (N, K) logits."""
    return pairs.append_column(STUDENT, pa.array(list(student), STUDENT.type))


def _chosen(known: pa.Table) -> dict[str, int]:
    """Key -> place."""
    own = set(known.filter(pc.equal(known["origin"], SOURCE))["key"].to_pylist())
    rounds: dict[int, list[tuple[bool, float, str, str]]] = defaultdict(list)
    for row in known.filter(pc.equal(known["origin"], AUXILIARY)).select(_COLUMNS).to_pylist():
        rounds[row["round"]].append((row["parent_key"] not in own, -row["gap_after"], row["key"], row["parent_key"]))
    numbers = _spread(sorted(rounds), PAIRS)
    keys, parents = [], []
    for number in numbers:
        climbs = sorted(rounds[number])
        with_parent = [climb for climb in climbs if not climb[0]] or climbs
        for _, _, key, parent in _spread(with_parent, PAIRS // len(numbers)):
            keys.append(key)
            parents += [parent] if parent in own else []
    return {key: place for place, key in enumerate(dict.fromkeys([*keys, *parents]))}


def _spread(items: list[Item], count: int) -> list[Item]:
    """At most `count` items, evenly, with the first and the last."""
    if len(items) <= count:
        return items
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, count)]
