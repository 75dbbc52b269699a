"""The rows of an artifact: each shard by itself, and what only all shards together can tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.datasets.verify.columns import SOURCE_KEY, Rules, true, wrong_logits, wrong_rows
from pipeline.datasets.verify.contents import wrong_contents
from pipeline.datasets.verify.keys import Keys
from pipeline.datasets.verify.tally import Tally
from pipeline.datasets.verify.verdict import Findings
from pipeline.logits import Codec
from pipeline.shards.rows import SOURCE, RowFormat
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
            for bad, what in wrong_rows(batch, self.rows, self.rules):
                found.add_rows(entry.path, batch["key"], bad, what)
            for row, what in wrong_contents(batch, self.rows, decode=self.decode):
                found.add(entry.path, batch["key"][row].as_py(), what)
            self.tally.add(batch, own)

    def finish(self, found: Findings) -> None:
        self.tally.compare(self.source, self.rounds, self.place, found)


@dataclass
class CachedShards:
    """Shards of cached logits: `key` and `logits`."""

    tables: Tables
    codec: Codec
    width: int
    keys: Keys

    def check(self, entry: FileEntry, table: pa.Table, found: Findings) -> None:
        columns = {"key": pa.string(), "logits": self.codec.column_type(self.width)}
        schema = {field.name: field.type for field in table.schema}
        if schema != columns:
            found.add(entry.path, None, f"has columns {_listed(schema)}, must have {_listed(columns)}")
            return
        if table.num_rows != entry.samples:
            found.add(entry.path, None, f"{table.num_rows:,} samples, the manifest promises {entry.samples:,}")
        for batch in table.to_batches():
            keys = batch["key"]
            plain = true(pc.match_substring_regex(keys, SOURCE_KEY))
            found.add_rows(entry.path, keys, ~plain, "a key has letters, digits, _ and - only")
            for bad, what in wrong_logits(batch["logits"], self.codec):
                found.add_rows(entry.path, keys, bad, what)
            self.keys.add(keys, np.ones(len(keys), np.bool_), None)

    def finish(self, found: Findings) -> None:
        """Nothing is promised of all shards together but that keys are unique."""


def _listed(schema: Mapping[str, pa.DataType]) -> str:
    return ", ".join(f"{name} ({type_})" for name, type_ in schema.items())
