"""One sample of a data set, found by its key."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.datasets.columns import batches
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.summary import class_name
from pipeline.progress import Progress, Silent
from pipeline.storage import Folder
from schemas.errors import SampleError, UserError, clipped


@dataclass(frozen=True, slots=True)
class Choice:
    """One output of the teacher; `probability` is None in a regression."""

    name: str
    logit: float
    probability: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample as it is stored.

    Attributes:
        key: its name.
        shard: file that it is in.
        origin: source or auxiliary.
        parent_key, round, gap_before, gap_after, steps: of its climb, None for a source sample.
        label: index of the class, numbers in a regression, None where unknown.
        class_name: of the label, None where there is none.
        outputs: all of the teacher's, the largest first in a classification.
        files: extension -> the bytes of the sample, for example png.
    """

    key: str
    shard: str
    origin: str
    parent_key: str | None
    round: int | None
    gap_before: float | None
    gap_after: float | None
    steps: int | None
    label: int | list[float] | None
    class_name: str | None
    outputs: list[Choice]
    files: dict[str, bytes]


def find_sample(dataset: Dataset, key: str, progress: Progress | None = None) -> Sample:
    """Look for a key, shard by shard.

    Raises:
        UserError: no sample has this key, or a shard is damaged.
        BpkdError: a shard is missing or damaged.
    """
    with (progress or Silent()).task("search", dataset.manifest.samples) as task:
        for part, batch in batches(dataset, ["key"]):
            if pc.any(pc.equal(batch["key"], key)).as_py():
                return _sample(dataset, str(part), part.table(), key)
            task.advance(batch.num_rows)
    raise UserError(f"{dataset.url} has no sample {key!r}; keys are the column `key`, in tars the names up to the dot")


def find_family(dataset: Dataset, key: str, *, parent: bool = True, progress: Progress | None = None) -> list[Sample]:
    """A sample and, if wanted and in the data set, the source sample that it was mined from.

    Raises:
        UserError, BpkdError: as `find_sample`; a parent is not looked for where the data set has no source samples.
    """
    sample = find_sample(dataset, key, progress)
    if not parent or sample.parent_key is None or not dataset.details.counts.source:
        return [sample]
    return [sample, find_sample(dataset, sample.parent_key, progress)]


def save_sample(sample: Sample, url: str) -> list[str]:
    """Write the sample's own files (PNG or `.npy`), as they are stored, into a directory, by its key.

    Returns:
        Their URLs.

    Raises:
        UserError: the key cannot be the name of a file.
    """
    if not sample.key.isprintable() or not sample.key or sample.key[0] == "." or set(sample.key) & set("/\\"):
        raise UserError(f"sample {clipped(sample.key)!r} cannot be saved: its key cannot be the name of a file")
    folder = Folder(url)
    names = [f"{sample.key}.{extension}" for extension in sample.files]
    for name, data in zip(names, sample.files.values(), strict=True):
        folder.write(name, data)
    return [f"{folder.url}/{name}" for name in names]


def _sample(dataset: Dataset, shard: str, table: pa.Table, key: str) -> Sample:
    row = table.filter(pc.equal(table["key"], key)).slice(0, 1).combine_chunks()
    if not row.num_rows:
        raise UserError(f"{shard} has changed while it was read; run again")
    try:
        decoded = dataset.rows.decode(row)
    except (SampleError, ValueError) as error:
        raise UserError(f"{shard}: sample {key!r}: {error}") from None
    (climb,) = row.select(["origin", "parent_key", "round", "gap_before", "gap_after", "steps"]).to_pylist()
    label = _label(dataset, decoded.labels[0])
    names = dataset.rows.class_names or ()
    members = dataset.rows.kind_.to_members(row.to_batches()[0][dataset.rows.kind_.column])
    return Sample(
        key=key,
        shard=shard,
        **climb,
        label=label,
        class_name=class_name(names, label) if isinstance(label, int) else None,
        outputs=_outputs(dataset, decoded.logits[0].numpy().astype(np.float64)),
        files={extension: contents[0] for extension, contents in members.items()},
    )


def _label(dataset: Dataset, label: npt.NDArray[Any]) -> int | list[float] | None:
    if dataset.rows.task == "classification":
        return int(label) if label >= 0 else None
    return None if np.isnan(label).all() else [float(number) for number in label]


def _outputs(dataset: Dataset, logits: npt.NDArray[np.float64]) -> list[Choice]:
    if dataset.rows.task == "regression":
        return [Choice(str(index), float(value), None) for index, value in enumerate(logits)]
    weights = np.exp(logits - logits.max())
    names = dataset.rows.class_names or ()
    return [
        Choice(class_name(names, index), float(logits[index]), float(weights[index] / math.fsum(weights)))
        for index in np.argsort(-logits, kind="stable").tolist()
    ]
