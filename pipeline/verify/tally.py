"""Counts and mean gaps of the rows against those that a manifest states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.shards.masks import Mask
from pipeline.verify.verdict import Findings
from schemas.dataset import RoundCounts
from schemas.manifest import MANIFEST

_GAPS = ("gap_before", "gap_after")
_TOLERANCE = 1e-9
"""Relative; covers adding float64 in another order."""


@dataclass
class _Round:
    samples: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_GAPS, 0.0))


class Tally:
    """Adds up an artifact's rows, round by round."""

    def __init__(self) -> None:
        self._source = 0
        self._rounds: dict[int, _Round] = {}

    def add(self, batch: pa.RecordBatch, own: Mask) -> None:
        """A batch of rows, and which of them are source samples."""
        self._source += int(own.sum())
        mined = batch.filter(pa.array(~own)).select(["round", *_GAPS]).drop_null()
        rounds = mined["round"].to_numpy(zero_copy_only=False)
        gaps = {name: mined[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in _GAPS}
        for number in np.unique(rounds).tolist():
            tally, these = self._rounds.setdefault(number, _Round()), rounds == number
            tally.samples += int(these.sum())
            for name in _GAPS:
                tally.sums[name] += float(gaps[name][these].sum())

    def compare(self, source: int, rounds: Sequence[RoundCounts], place: str, found: Findings) -> None:
        """Report what differs from the counts that the manifest gives at `place`."""
        if self._source != source:
            found.add(MANIFEST, None, f"{place}: {source:,} source samples, there are {self._source:,}")
        for stated in rounds:
            tally = self._rounds.get(stated.round, _Round())
            where = f"{place}: round {stated.round}"
            if tally.samples != stated.samples:
                found.add(MANIFEST, None, f"{where} has {stated.samples:,} samples, there are {tally.samples:,}")
                continue
            for name, gap in stated.gap.items():
                mean = tally.sums[name] / tally.samples if tally.samples else math.nan
                if not math.isclose(mean, gap.mean, rel_tol=_TOLERANCE, abs_tol=1e-12):
                    found.add(MANIFEST, None, f"{where} has a mean {name} of {gap.mean:g}, the samples {mean:g}")
