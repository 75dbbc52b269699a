"""Cached teacher logits: a Parquet table of `key` and `logits` for every chunk of the source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from pipeline.lazy import torch
from pipeline.logits import Codec, Logits, concatenated
from pipeline.shards.checks import refuse_first, wrong_cached
from pipeline.shards.limits import Extent
from pipeline.shards.parquet import read_parquet


@dataclass(frozen=True)
class CachedFormat:
    """What such a table must hold.

    Attributes:
        codec: of the logits.
        width: K, logits per sample.
    """

    codec: Codec
    width: int

    @cached_property
    def schema(self) -> pa.Schema:
        return pa.schema({"key": pa.string(), "logits": self.codec.column_type(self.width)})

    @property
    def extent(self) -> Extent:
        """What a row takes."""
        return Extent(self.codec.bytes_per_sample(self.width), self.codec.values_per_sample(self.width))

    def read(self, data: bytes, samples: int) -> pa.Table:
        """The table of so many samples in the bytes of a file, which anyone may have made.

        Raises:
            UserError: the bytes are not such a file, or more than one may be.
        """
        return read_parquet(data, self.schema, self.extent, samples)

    def decode(self, table: pa.Table) -> tuple[list[str], Logits]:
        """N keys and their logits.

        Raises:
            SampleError: a row is broken; the message says which.
        """
        keys, logits = list[str](), [self.codec.empty(0, self.width, torch.device("cpu"))]
        for batch in table.to_batches():
            refuse_first(batch["key"], wrong_cached(batch, self.codec))
            keys += batch["key"].to_pylist()
            logits.append(self.codec.decode(batch["logits"]))
        return keys, concatenated(logits)
