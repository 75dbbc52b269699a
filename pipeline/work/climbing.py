"""One shard of climbs: from source samples to labelled auxiliary samples in stored form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import torch

from pipeline.kinds.base import Kind
from pipeline.mining import Bounds, ascend
from pipeline.mining.objectives.base import Objective
from pipeline.models import Wrapped
from pipeline.seeds import torch_generator
from pipeline.shards.rows import Climbs, RowFormat, Rows
from pipeline.work.setup import autocast
from schemas.config import Config
from schemas.manifest import FailedSample
from schemas.registry import KEEPS, OBJECTIVES, STARTS, STEP_RULES


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
        bounds: of the climbs.
        round: number of the round, from 1.
    """

    config: Config
    teacher: Wrapped
    opponent: Wrapped
    rows: RowFormat
    bounds: Bounds
    round: int
    device: torch.device

    def mine(self, parents: Rows, shard: int) -> Mined:
        """Climb from every parent; `shard` is the parents' number, from which all randomness derives."""
        tables: list[pa.Table] = []
        failures: list[FailedSample] = []
        for repeat in range(self.config.mine.climbs):
            generator = torch_generator(self.config.run.seed, "climb", self.round, shard, repeat)
            for batch in self._batches(parents):
                rows, climbs, failed = self._climb(batch, repeat, generator)
                tables.append(self.rows.encode(rows, climbs))
                failures += failed
        table = pa.concat_tables(tables) if tables else self.rows.schema.empty_table()
        kept = table.filter(self._kept(table))
        return Mined(kept, failures, dropped=table.num_rows - kept.num_rows)

    def _batches(self, parents: Rows) -> Iterator[Rows]:
        size = self.config.mine.batch_size
        for start in range(0, len(parents), size):
            yield _select(parents, np.arange(start, min(start + size, len(parents))))

    def _climb(self, parents: Rows, repeat: int, generator: torch.Generator) -> tuple[Rows, Climbs, list[FailedSample]]:
        mine, kind = self.config.mine, self.rows.kind_
        objective: Objective = OBJECTIVES.build(mine.objective, temperature=mine.temperature)
        origin = kind.to_inputs(parents.stored)
        start = STARTS.build(mine.start, mine.start_options)(origin, generator)
        with autocast(self.config, self.device):
            climb = ascend(
                self.teacher,
                self.opponent,
                origin.to(self.device),
                start.to(self.device),
                objective=objective,
                step_rule=STEP_RULES.build(mine.step_rule),
                bounds=self.bounds,
                steps=mine.steps,
                step_size=mine.step_size,
                step_decay=mine.step_decay,
                patience=mine.patience,
            )
            # Labelled after rounding to what is stored, so that the label belongs to what a reader decodes.
            stored = kind.to_stored(torch.where(_like(climb.finite, climb.inputs), climb.inputs, 0).cpu())
            logits, gap = self._label(kind, stored, objective)
        good = (climb.finite.cpu() & self.rows.codec_.representable(logits) & gap.isfinite()).numpy()
        # No key of a source has a plus sign, so these cannot be taken already.
        suffix = f"+r{self.round:02d}" + (f"+{repeat + 1}" if mine.climbs > 1 else "")
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
        rows = Rows(keys, stored, _unknown(parents.labels), logits, np.zeros(len(keys), np.bool_))
        climbs = Climbs(
            parents=[parents.keys[index] for index in kept],
            round=self.round,
            gap_before=climb.gap_before.float().cpu().numpy()[kept],
            gap_after=gap.numpy()[kept],
            steps=climb.steps.cpu().numpy()[kept],
        )
        return _select(rows, kept), climbs, failures

    def _label(
        self, kind: Kind, stored: np.ndarray[Any, Any], objective: Objective
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Teacher logits (N, K) float32 of the stored samples, and their gap (N,)."""
        with torch.inference_mode():
            inputs = kind.to_inputs(stored).to(self.device)
            logits = self.teacher(inputs).float()
            gap = objective(logits, self.opponent(inputs).float())
        return logits.cpu(), gap.cpu()

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


def _like(mask: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    return mask.view(-1, *[1] * (inputs.ndim - 1))
