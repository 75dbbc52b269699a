"""One shard of climbs: from source samples to labelled auxiliary samples in stored form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import torch

from pipeline.kinds import Stored
from pipeline.models import AnyModel
from pipeline.seeds import torch_generator
from pipeline.shards.rows import Climbs, RowFormat, Rows
from pipeline.work.climbers.base import Climber, build_objective
from pipeline.work.setup import alike, autocast
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import FailedSample
from schemas.registry import KEEPS

Gaps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Mined:
    """What one shard's climbs gave.

    Attributes:
        table: kept auxiliary samples, in the data set's columns.
        failures: climbs that met a gap, a gradient or teacher outputs that are not finite.
        dropped: climbs that the keep rule left out.
    """

    table: pa.Table
    failures: list[FailedSample]
    dropped: int


@dataclass(frozen=True)
class Miner:
    """Climbs with one pair of frozen models in one round.

    Attributes:
        config: settings, `[mine]` and the run's seed and precision.
        teacher, opponent: frozen, on `device`.
        rows: format of what comes out.
        climber: finds the ends of climbs with these models.
        round: number of the round, from 1.
    """

    config: Config
    teacher: AnyModel
    opponent: AnyModel
    rows: RowFormat
    climber: Climber
    round: int
    device: torch.device

    def mine(self, parents: Rows, shard: int) -> Mined:
        """Climb from every parent; `shard` is the parents' number, from which all randomness derives."""
        tables: list[pa.Table] = []
        failures: list[FailedSample] = []
        rounded: list[tuple[Gaps, Gaps]] = []
        for repeat in range(self.config.mine.climbs):
            generator = torch_generator(self.config.run.seed, "climb", self.round, shard, repeat)
            for batch in self._batches(parents):
                rows, climbs, failed, before = self._climb(batch, repeat, generator)
                tables.append(self.rows.encode(rows, climbs))
                failures += failed
                rounded.append((before, climbs.gap_after))
        self._check_rounding(rounded)
        table = pa.concat_tables(tables) if tables else self.rows.schema.empty_table()
        kept = table.filter(self._kept(table))
        return Mined(kept, failures, dropped=table.num_rows - kept.num_rows)

    def _batches(self, parents: Rows) -> Iterator[Rows]:
        order, size = alike(self.rows.kind_, parents.stored), self.config.mine.batch_size
        for start in range(0, len(parents), size):
            yield _select(parents, order[start : start + size])

    def _climb(
        self, parents: Rows, repeat: int, generator: torch.Generator
    ) -> tuple[Rows, Climbs, list[FailedSample], Gaps]:
        """What comes of a batch: rows and climbs of the good ones, the others, and the gaps before rounding."""
        with autocast(self.config, self.device):
            ends = self.climber(parents.stored, generator)
            # Labelled after rounding to what is stored, so that the label belongs to what a reader decodes.
            logits, gap = self._label(ends.stored)
        good = (ends.finite & self.rows.codec_.representable(logits) & gap.isfinite()).numpy()
        # No key of a source has a plus sign, so these cannot be taken already.
        suffix = f"+r{self.round:02d}" + (f"+{repeat + 1}" if self.config.mine.climbs > 1 else "")
        keys = [key + suffix for key in parents.keys]
        failures = [
            FailedSample(
                key=key,
                stage="mine",
                reason="a gap, a gradient or a teacher output is not finite, or too large for cache.codec",
            )
            for key, fine in zip(keys, good, strict=True)
            if not fine
        ]
        kept = np.flatnonzero(good)
        rows = Rows(keys, ends.stored, _unknown(parents.labels), logits, np.zeros(len(keys), np.bool_))
        climbs = Climbs(
            parents=[parents.keys[index] for index in kept],
            round=self.round,
            gap_before=ends.gap_before.numpy()[kept],
            gap_after=gap.numpy()[kept],
            steps=ends.steps.numpy()[kept],
        )
        found = _select(rows, kept)
        found = replace(found, logits=self.rows.codec_.compress(logits[torch.from_numpy(kept)], generator))
        return found, climbs, failures, ends.gap.numpy()[kept]

    def _label(self, stored: Stored) -> tuple[torch.Tensor, torch.Tensor]:
        """Teacher logits (N, K) float32 of the stored samples, and their gap (N,)."""
        with torch.inference_mode():
            inputs = self.rows.kind_.to_inputs(stored).to(self.device)
            logits = self.teacher(inputs).float()
            gap = build_objective(self.config.mine)(logits, self.opponent(inputs).float())
        return logits.cpu(), gap.cpu()

    def _check_rounding(self, gaps: list[tuple[Gaps, Gaps]]) -> None:
        """Refuse a form of storage that costs more of the mean gap than it may; gaps before and after rounding."""
        tolerated = self.climber.tolerated
        before, after = (sum(float(pair[number].sum()) for pair in gaps) for number in (0, 1))
        if tolerated is None or not before:
            return
        loss = 1 - after / before
        if loss > tolerated:
            raise UserError(
                f'mine.delta = "{self.config.mine.delta}" loses {loss:.1%} of the gap by rounding, '
                f'more than {tolerated:.0%}; set mine.delta = "fp16"'
            )

    def _kept(self, table: pa.Table) -> pa.Array:
        gaps = pl.DataFrame(pl.from_arrow(table.select(["gap_before", "gap_after"])))
        keep = KEEPS.load(self.config.mine.keep)(gaps, self.config.mine.keep_fraction)
        return pa.array(keep.to_list(), pa.bool_())


def _select(rows: Rows, chosen: np.ndarray[Any, Any]) -> Rows:
    return replace(
        rows,
        keys=[rows.keys[index] for index in chosen],
        stored=rows.stored[chosen],
        labels=rows.labels[chosen],
        logits=rows.logits[torch.from_numpy(chosen)],
        is_source=rows.is_source[chosen],
    )


def _unknown(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Labels of as many samples, all unknown: what a parent is says nothing about where its climb ends."""
    return np.full_like(labels, -1 if labels.dtype == np.int64 else np.nan)
