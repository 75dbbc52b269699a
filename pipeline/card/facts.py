"""What a card is written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.card.examples import Example
from pipeline.datasets.classes import ClassCounts
from pipeline.datasets.dataset import row_format
from pipeline.shards.rows import RowFormat
from schemas.dataset import DatasetDetails
from schemas.manifest import FileEntry
from schemas.registry import FORMATS

_SIZES = ((10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M"))
_MORE_SIZES = ((10**9, "1B"), (10**10, "10B"), (10**11, "100B"), (10**12, "1T"))


@dataclass(frozen=True)
class Facts:
    """All that a card tells of one data set.

    Attributes:
        bpkd: version that made it.
        details: as in its manifest.
        files: that the manifest will list, without the card's own.
        failures: samples given up on the way to it.
        classes: samples by class; None where they were not counted.
        examples: some auxiliary samples.
    """

    bpkd: str
    details: DatasetDetails
    files: Sequence[FileEntry]
    failures: int
    classes: Sequence[ClassCounts] | None
    examples: Sequence[Example]

    @cached_property
    def rows(self) -> RowFormat:
        return row_format(self.details.rows)

    @property
    def name(self) -> str:
        return str(self.details.provenance["name"])

    @property
    def shards(self) -> list[FileEntry]:
        return [file for file in self.files if file.samples]

    @property
    def others(self) -> list[FileEntry]:
        """What lies beside the shards."""
        return [file for file in self.files if not file.samples]

    @property
    def samples(self) -> int:
        return sum(file.samples for file in self.files)

    @property
    def bytes(self) -> int:
        """Of the shards."""
        return sum(file.bytes for file in self.shards)

    @property
    def pattern(self) -> str:
        """A glob of the shards."""
        return f"{self.details.split}-*.{FORMATS.build(self.details.format).suffix}"

    @property
    def size_category(self) -> str:
        """As the hub names it."""
        low = None
        for limit, name in (*_SIZES, *_MORE_SIZES):
            if self.samples < limit:
                return f"n<{name}" if low is None else f"{low}<n<{name}"
            low = name
        return "n>1T"

    @property
    def includes_source(self) -> bool:
        return self.details.counts.source > 0

    @property
    def shows_parents(self) -> bool:
        return any(example.parent for example in self.examples)

    def told(self, key: str) -> Any:
        """One entry of the provenance; None where there is none."""
        return self.details.provenance.get(key)
