"""One sample of a data set, found by its key."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.datasets.classes import class_name
from pipeline.datasets.columns import batches
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.tokens import MovedToken, embedding_unit, moved_tokens
from pipeline.logits import spread_out
from pipeline.progress import Progress, Silent
from pipeline.storage import Folder
from pipeline.text.comparison import Piece, compare
from pipeline.text.sentences import Sentence
from schemas.errors import SampleError, UserError, clipped

_LONGEST = 100


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
        texts: of a text sample, None where it is perturbed, and for other kinds.
        tokens: of perturbed text, the most moved first; None for all else.
        in_norms: whether the shifts of `tokens` are in mean norms of token embeddings; else they are plain L2 norms.
        parent_texts: of the sample that a text was mined from, None where that is not known.
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
    texts: tuple[str, ...] | None = None
    tokens: list[MovedToken] | None = None
    in_norms: bool = False
    parent_texts: tuple[str, ...] | None = None

    @property
    def compared(self) -> list[list[Piece]] | None:
        """For each text its words beside the parent's; None where either is not known."""
        if self.texts is None or self.parent_texts is None:
            return None
        return [compare(*pair) for pair in zip(self.parent_texts, self.texts, strict=True)]


def find_sample(dataset: Dataset, key: str, progress: Progress | None = None) -> Sample:
    """Look for a key, shard by shard.

    Raises:
        UserError: no sample has this key, or a shard is damaged.
        BpkdError: a shard is missing or damaged.
    """
    example: str | None = None
    with (progress or Silent()).task("find sample", dataset.manifest.samples) as task:
        for part, batch in batches(dataset, ["key"]):
            task.advance(batch.num_rows)
            if example is None and batch.num_rows:
                example = batch["key"][0].as_py()
            if pc.any(pc.equal(batch["key"], key)).as_py():
                return _sample(dataset, str(part), part.table(), key)
    such = "" if example is None else f"; its keys are such as {_quoted(example)}"
    parents = "" if dataset.details.counts.source else ", and source samples are not in it"
    raise UserError(f"{dataset.url} has no sample {_quoted(key)}{such}{parents}")


def _quoted(key: str) -> str:
    """A key for a message, where it may be short with the blanks that it has: they may be why it is not found."""
    return repr(key if key.isprintable() and len(key) <= _LONGEST else clipped(key, _LONGEST))


def find_family(dataset: Dataset, key: str, *, parent: bool = True, progress: Progress | None = None) -> list[Sample]:
    """A sample, of text with its parent's texts; and, if wanted and in the data set, the parent itself.

    Raises:
        UserError, BpkdError: as `find_sample`; a parent is not looked for where the data set has no source samples.
    """
    sample = find_sample(dataset, key, progress)
    if sample.parent_key is None or not dataset.details.counts.source:
        return [sample]
    if parent:
        found = find_sample(dataset, sample.parent_key, progress)
        return [replace(sample, parent_texts=found.texts), found]
    return [replace(sample, parent_texts=_texts_of(dataset, sample.parent_key, progress))]


def _texts_of(dataset: Dataset, key: str, progress: Progress | None) -> tuple[str, ...] | None:
    """The texts of one sample, from few columns; None where there is no such sample, or it is not text."""
    if dataset.rows.kind != "text":
        return None
    columns = dataset.rows.kind_.arrow_types(dataset.rows.shape)
    names = [name for name, type_ in columns.items() if pa.types.is_string(type_)]
    with (progress or Silent()).task("find parent", dataset.manifest.samples) as task:
        for _, batch in batches(dataset, ["key", *names]):
            task.advance(batch.num_rows)
            found = pc.index(batch["key"], key).as_py()
            if found >= 0:
                texts = [batch[name][found].as_py() for name in names]
                return None if None in texts else tuple(texts)
    return None


def save_sample(sample: Sample, url: str) -> list[str]:
    """Write the sample's own files (PNG, `.npy`, `.txt`), as they are stored, into a directory, by its key.

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
    members = dataset.rows.kind_.to_members(row.to_batches()[0])
    content = decoded.stored[0]
    sentence = content if isinstance(content, Sentence) else None
    perturbed = sentence.perturbed if sentence else None
    return Sample(
        key=key,
        shard=shard,
        **climb,
        label=label,
        class_name=class_name(names, label) if isinstance(label, int) else None,
        outputs=_outputs(dataset, spread_out(decoded.logits)[0].numpy().astype(np.float64)),
        files={extension: contents[0] for extension, contents in members.items()},
        texts=sentence.texts if sentence and perturbed is None else None,
        tokens=None if perturbed is None else moved_tokens(dataset, perturbed),
        in_norms=embedding_unit(dataset) is not None,
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
        if weights[index]
    ]
