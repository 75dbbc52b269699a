"""What is in a data set: from its manifest alone, and by class from a few columns of its shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.datasets.classes import COLUMNS, ClassCounts, ClassTally
from pipeline.datasets.columns import batches
from pipeline.datasets.dataset import Dataset
from pipeline.layout import MAP
from pipeline.progress import Progress, Silent
from pipeline.shards.rows import RowFormat
from schemas.dataset import EmbeddingsSpec, RoundCounts
from schemas.errors import SampleError, UserError


@dataclass(frozen=True, slots=True)
class Summary:
    """What the manifest of a data set says.

    Attributes:
        url: its directory.
        bpkd: version that wrote it.
        samples: all of them, `source` the user's own, `auxiliary` mined, `labelled` with a label.
        failures: samples given up.
        files, bytes: without the manifest.
        format, split, shards: name in FORMATS, of the split, and how many files have samples.
        kind, shape: name in KINDS, and shape of one stored sample.
        form: what one sample is, in words.
        sample_bytes: of one sample in the shards' files, on average; None where there are no samples.
        embeddings: what perturbations of text are added to; None for all else.
        mapped: whether the data set has a map from the student's embeddings to the teacher's.
        task, classes: classification or regression; names of the classes, empty where unknown.
        codec, width: name in CODECS, and how many logits a sample has.
        rounds: samples and gaps of every round.
        provenance: what made the samples, as the maker tells it.
    """

    url: str
    bpkd: str
    samples: int
    source: int
    auxiliary: int
    labelled: int
    failures: int
    files: int
    bytes: int
    format: str
    split: str
    shards: int
    kind: str
    shape: tuple[int, ...]
    form: str
    sample_bytes: float | None
    embeddings: EmbeddingsSpec | None
    mapped: bool
    task: str
    classes: tuple[str, ...]
    codec: str
    width: int
    rounds: tuple[RoundCounts, ...]
    provenance: dict[str, Any]


def summarize(dataset: Dataset) -> Summary:
    """What the manifest says; reads nothing."""
    manifest, details = dataset.manifest, dataset.details
    in_shards = sum(file.bytes for file in manifest.files if file.samples)
    return Summary(
        url=dataset.url,
        bpkd=manifest.bpkd,
        samples=manifest.samples,
        source=details.counts.source,
        auxiliary=details.counts.auxiliary,
        labelled=sum(file.labelled for file in manifest.files),
        failures=manifest.failures,
        files=len(manifest.files),
        bytes=sum(file.bytes for file in manifest.files),
        format=details.format,
        split=details.split,
        shards=len(dataset.parts),
        kind=details.rows.kind,
        shape=tuple(details.rows.shape),
        form=_form(dataset.rows),
        sample_bytes=in_shards / manifest.samples if manifest.samples else None,
        embeddings=details.embeddings,
        mapped=any(file.path == MAP for file in manifest.files),
        task=details.rows.task,
        classes=tuple(details.rows.class_names or ()),
        codec=details.rows.codec,
        width=details.rows.width,
        rounds=tuple(details.counts.rounds),
        provenance=details.provenance,
    )


def count_classes(dataset: Dataset, progress: Progress | None = None) -> list[ClassCounts]:
    """Count by label and by the teacher's first choice, shard by shard.

    Args:
        dataset: any.
        progress: where to report.

    Returns:
        Every class that has a name or samples, in the order of the classes; nothing for a regression.

    Raises:
        UserError: a shard is damaged, or has a label that is no class.
        BpkdError: a shard cannot be read.
    """
    if dataset.rows.task != "classification":
        return []
    tally = ClassTally()
    with (progress or Silent()).task("count", dataset.manifest.samples) as task:
        for shard, batch in batches(dataset, COLUMNS):
            try:
                tally.add(batch, dataset.rows)
            except (SampleError, ValueError) as error:
                raise UserError(f"{shard}: {error}") from None
            task.advance(batch.num_rows)
    return tally.counts(dataset.rows.class_names or ())


def _form(rows: RowFormat) -> str:
    if rows.kind != "text":
        return f"{rows.kind} {'x'.join(map(str, rows.shape))}"
    texts = "text" if rows.shape[0] == 1 else "pairs of texts"
    if rows.delta is None:
        return texts
    _, length, width = rows.shape
    return f"{texts}, perturbed embeddings: {width:,} numbers a token as {rows.delta}, at most {length:,} tokens"
