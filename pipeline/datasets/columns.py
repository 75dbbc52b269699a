"""A few columns of a data set, shard by shard, with as little reading as its format allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.datasets.dataset import Dataset
from pipeline.shards.parquet import ParquetFormat, parquet_batches
from pipeline.shards.parts import FilePart
from pipeline.storage import Folder
from schemas.errors import BpkdError, UserError


def batches(dataset: Dataset, names: Sequence[str]) -> Iterator[tuple[FilePart, pa.RecordBatch]]:
    """Each shard with some of its columns, in batches.

    Of Parquet only these columns are read, so that the sha256 of the file is not checked; a tar is read as a whole.

    Raises:
        UserError: a shard is not what the manifest promises.
        BpkdError: a shard is missing or damaged.
    """
    if not isinstance(dataset.format, ParquetFormat):
        for part in dataset.parts:
            for batch in part.table().select(list(names)).to_batches():
                yield part, batch
        return
    folder = Folder(dataset.url)
    entries = [entry for entry in dataset.manifest.files if entry.samples]
    for part, entry in zip(dataset.parts, entries, strict=True):
        try:
            with folder.open(entry.path) as file:
                for batch in parquet_batches(file, dataset.rows, entry.samples, names):
                    yield part, batch
        except FileNotFoundError:
            raise BpkdError(f"{part} is missing, though the manifest lists it") from None
        except UserError as error:
            raise UserError(f"{part}: {error}") from None
