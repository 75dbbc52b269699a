"""What an exported data set says of itself: the details in its manifest, and its card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from pipeline.card import Facts, card_files
from pipeline.card.examples import find_examples
from pipeline.datasets import rows_spec
from pipeline.datasets.classes import ClassCounts, ClassTally
from pipeline.datasets.dataset import row_format
from pipeline.shards.parts import FilePart, Part
from pipeline.shards.rows import RowFormat
from pipeline.version import VERSION
from schemas.config import Config
from schemas.dataset import Counts, DatasetDetails, EmbeddingsSpec, RoundCounts
from schemas.manifest import Manifest, ShardReport
from schemas.urls import shown

CARD = "card"
"""Name of its unit."""

_MOST_COUNTED = 256
"""Classes that are counted one by one: their counts stay in memory for every window."""


def about(config: Config) -> dict[str, str]:
    """What the config says of the source, for people."""
    said = {"license": config.data.license, "homepage": config.data.homepage, "citation": config.data.citation}
    return {name: value for name, value in said.items() if value is not None}


def counted(table: pa.Table, rows: RowFormat) -> dict[str, Any]:
    """Samples of a window by class, for its report."""
    if rows.task != "classification" or rows.width > _MOST_COUNTED:
        return {}
    tally = ClassTally()
    for batch in table.to_batches():
        tally.add(batch, rows)
    return {"classes": tally.found()}


def describe(
    config: Config,
    cache: Manifest,
    rounds: list[Manifest],
    rows: RowFormat,
    own: Sequence[Part],
    embeddings: Manifest | None,
) -> DatasetDetails:
    """What a reader of the data set needs to know and has no other way to.

    Args:
        config: of the run.
        cache, rounds: manifests of what it is made from.
        rows: format of its rows.
        own: the source's samples in it.
        embeddings: manifest of the map, for perturbed text.
    """
    made = rounds[0].fingerprint if rounds else {}
    source = config.data.train
    return DatasetDetails(
        rows=rows_spec(rows),
        format=config.export.format,
        split=config.export.split,
        counts=Counts(
            source=sum(part.source for part in own),
            auxiliary=sum(manifest.samples for manifest in rounds),
            rounds=[
                RoundCounts(round=number, samples=manifest.samples, gap=manifest.details["gap"])
                for number, manifest in enumerate(rounds, 1)
            ],
        ),
        embeddings=None
        if embeddings is None
        else EmbeddingsSpec(
            student=embeddings.fingerprint["student"],
            teacher=embeddings.fingerprint["teacher"],
            residual=embeddings.details["residual"],
            carry=made["mine"]["carry"],
            unit=embeddings.details["unit"],
        ),
        provenance={
            "name": config.run.name,
            "source": shown(source) if isinstance(source, str) else [shown(url) for url in source],
            **about(config),
            "teacher": cache.fingerprint["teacher"],
            **{name: made.get(name) for name in ("student", "mine", "train", "seed")},
        },
    )


def write_card(
    details: DatasetDetails,
    made: Sequence[ShardReport],
    inputs: Iterable[Manifest],
    by_round: Sequence[Sequence[FilePart]],
    own: Sequence[Part],
) -> dict[str, bytes]:
    """The files of the card, name -> bytes; reads no more than a few shards of the inputs.

    Args:
        details: of the manifest.
        made: reports of all units.
        inputs: manifests of what it is made from.
        by_round: auxiliary samples of every round.
        own: the source's samples in it.
    """
    facts = Facts(
        bpkd=VERSION,
        details=details,
        files=[file for report in made for file in report.files],
        failures=sum(manifest.failures for manifest in inputs),
        classes=_classes(details, made),
        examples=find_examples(by_round, own, row_format(details.rows)),
    )
    return card_files(facts)


def _classes(details: DatasetDetails, made: Sequence[ShardReport]) -> list[ClassCounts] | None:
    """All windows together; None where they were not counted: too many classes, or begun by an earlier version."""
    if not all("classes" in report.details for report in made if any(file.samples for file in report.files)):
        return None
    tally = ClassTally()
    for report in made:
        tally.take(report.details.get("classes", ()))
    return tally.counts(details.rows.class_names or ())
