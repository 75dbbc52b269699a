"""The rows of an artifact: each shard by itself, and what only all shards together can tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.logits import Codec
from pipeline.shards.checks import wrong_cached, wrong_rows
from pipeline.shards.masks import true
from pipeline.shards.origins import SOURCE
from pipeline.shards.rows import RowFormat
from pipeline.verify.contents import wrong_contents
from pipeline.verify.keys import Keys
from pipeline.verify.rules import Rules, broken_rules
from pipeline.verify.tally import Tally
from pipeline.verify.verdict import Findings
from schemas.dataset import RoundCounts
from schemas.manifest import FileEntry

Tables = Mapping[str, Callable[[], pa.Table]]
"""Path of every shard -> reads it, checked against the manifest."""


@dataclass
class LabelledShards:
    """Shards of a data set, or of the auxiliary samples of one round.

    Attributes:
        rows: their format.
        rules: for all of them.
        source: number of source samples that the manifest gives.
        rounds: counts and gaps that it gives.
        decode: images are decoded too.
        place: of the counts in the manifest.
    """

    tables: Tables
    rows: RowFormat
    rules: Rules
    source: int
    rounds: Sequence[RoundCounts]
    decode: bool
    place: str
    keys: Keys
    tally: Tally = field(default_factory=Tally)

    def check(self, entry: FileEntry, table: pa.Table, found: Findings) -> None:
        for batch in table.to_batches():
            own = true(pc.equal(batch["origin"], SOURCE))
            self.keys.add(batch["key"], own, batch["parent_key"])
            wrong = wrong_rows(batch, self.rows.kind_, self.rows.labels_, self.rows.codec_)
            for bad, what in chain(wrong, broken_rules(batch, self.rules)):
                found.add_rows(entry.path, batch["key"], bad, what)
            for row, what in wrong_contents(batch, self.rows, decode=self.decode):
                found.add(entry.path, batch["key"][row].as_py(), what)
            self.tally.add(batch, own)

    def finish(self, found: Findings) -> None:
        self.tally.compare(self.source, self.rounds, self.place, found)


@dataclass
class CachedShards:
    """Shards of cached logits."""

    tables: Tables
    codec: Codec
    keys: Keys

    def check(self, entry: FileEntry, table: pa.Table, found: Findings) -> None:
        for batch in table.to_batches():
            keys = batch["key"]
            for bad, what in wrong_cached(batch, self.codec):
                found.add_rows(entry.path, keys, bad, what)
            self.keys.add(keys, np.ones(len(keys), np.bool_), None)

    def finish(self, found: Findings) -> None:
        """Nothing is promised of all shards together but that keys are unique."""
