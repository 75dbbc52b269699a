"""A few columns of a data set, shard by shard, with as little reading as its format allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.datasets.dataset import Dataset
from pipeline.shards.parts import FilePart


def batches(dataset: Dataset, names: Sequence[str]) -> Iterator[tuple[FilePart, pa.RecordBatch]]:
    """Each shard with some of its columns, in batches.

    Of Parquet only these columns are read, so that the sha256 of the file is not checked; a tar is read as a whole.

    Raises:
        UserError: a shard is not what the manifest promises.
        BpkdError: a shard is missing or damaged.
    """
    for part in dataset.parts:
        for batch in part.columns(names):
            yield part, batch
