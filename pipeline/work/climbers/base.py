"""What a climber is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from pipeline.kinds import Stored
from pipeline.mining import Climb
from pipeline.mining.ascent import Model, ascend
from pipeline.mining.bounds import Region
from pipeline.mining.objectives.base import Objective
from pipeline.models import AnyModel
from pipeline.shards.rows import RowFormat
from schemas.config import Config
from schemas.manifest import Manifest
from schemas.registry import CLIMBERS, OBJECTIVES, STEP_RULES
from schemas.sections import MineConfig


@dataclass(frozen=True)
class Ends:
    """The ends of N climbs in stored form.

    Attributes:
        stored: N samples, as a reader decodes them.
        gap_before: (N,) float32 gap at the start of the climb.
        gap: (N,) float32 gap at its end, before that was rounded to the stored form.
        steps: (N,) int64 steps that led there.
        finite: (N,) bool, False where a gap or a gradient was not finite; such a sample is not to be used.
    """

    stored: Stored
    gap_before: torch.Tensor
    gap: torch.Tensor
    steps: torch.Tensor
    finite: torch.Tensor


class Climber(Protocol):
    """Climbs from source samples with one pair of frozen models.

    A new one is a class in a file of this folder and a line in `schemas.registry.CLIMBERS`. Its constructor is called
    with those of the arguments `config`, `teacher`, `opponent`, `rows`, `cache` and `device` that it takes.
    """

    tolerated: float | None
    """Share of the mean gap that rounding may cost; more is an error. None for any."""

    @staticmethod
    def row_format(rows: RowFormat, config: Config, opponent: AnyModel) -> RowFormat:
        """The format of what comes out, given that of the source."""

    def __call__(self, parents: Stored, generator: torch.Generator) -> Ends:
        """Climb from every parent; all randomness comes from `generator`, a CPU generator."""


def build_objective(mine: MineConfig) -> Objective:
    objective: Objective = OBJECTIVES.build(mine.objective, temperature=mine.temperature)
    return objective


def climb(
    mine: MineConfig,
    teacher: Model,
    student: Model,
    parents: torch.Tensor,
    start: torch.Tensor,
    bounds: Region,
    *,
    rowwise: bool = True,
) -> Climb:
    """`ascend` as `[mine]` has it."""
    return ascend(
        teacher,
        student,
        parents,
        start,
        objective=build_objective(mine),
        step_rule=STEP_RULES.build(mine.step_rule, mine.step_options),
        bounds=bounds,
        steps=mine.steps,
        step_size=mine.step_size,
        step_decay=mine.step_decay,
        patience=mine.patience,
        rowwise=rowwise,
    )


def make_climber(
    config: Config, teacher: AnyModel, opponent: AnyModel, rows: RowFormat, cache: Manifest, device: torch.device
) -> Climber:
    """The one that `mine.output` names."""

    built: Climber = CLIMBERS.build(
        str(config.mine.output),
        config=config,
        teacher=teacher,
        opponent=opponent,
        rows=rows,
        cache=cache,
        device=device,
    )
    return built
