"""What a manifest promises of each row beyond what every row must be."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.shards.masks import Wrong, true
from pipeline.shards.origins import SOURCE

_ROUNDING = 1e-4
"""How far below zero the rounding of fp32 may put a divergence that is zero."""


@dataclass(frozen=True)
class Rules:
    """What the manifest says of all rows.

    Attributes:
        source: source samples may come.
        rounds: that may come.
        grew: every gap is larger after the climb.
        distance: gaps are distances or divergences, so none is negative.
    """

    source: bool
    rounds: tuple[int, ...]
    grew: bool
    distance: bool


def broken_rules(batch: pa.RecordBatch, rules: Rules) -> Wrong:
    """Rows of a data set's table that the manifest speaks against; null is passed over."""
    if not rules.source:
        yield true(pc.equal(batch["origin"], SOURCE)), "is a source sample, the manifest promises auxiliary ones only"
    unknown = pc.invert(pc.is_in(batch["round"], pa.array(rules.rounds, pa.int32())))
    yield true(pc.and_(batch["round"].is_valid(), unknown)), "its round is none of the manifest's"
    if rules.distance:
        for name in ("gap_before", "gap_after"):
            yield true(pc.less(batch[name], -_ROUNDING)), f"its {name} is negative"
    if rules.grew:
        fell = pc.less_equal(batch["gap_after"], batch["gap_before"])
        yield true(fell), 'its gap_after is not above gap_before, though mine.keep = "grew"'
