"""Images and arrays: climbs in the input space itself."""

from __future__ import annotations

from typing import cast

import torch

from pipeline.kinds import Stored, TensorKind
from pipeline.mining import Bounds
from pipeline.models import AnyModel
from pipeline.shards.rows import RowFormat
from pipeline.work.climbers.base import Ends, climb
from schemas.config import Config
from schemas.manifest import Manifest
from schemas.registry import STARTS


class InputClimber:
    """Climbs within the valid range of the inputs, and rounds to what is stored."""

    tolerated: float | None = None

    def __init__(
        self,
        config: Config,
        teacher: AnyModel,
        opponent: AnyModel,
        rows: RowFormat,
        cache: Manifest,
        device: torch.device,
    ) -> None:
        self._mine, self._teacher, self._opponent, self._device = config.mine, teacher, opponent, device
        self._kind = cast(TensorKind, rows.kind_)
        self._bounds = _bounds(config, self._kind.natural_bounds, cache, device)

    @staticmethod
    def row_format(rows: RowFormat, config: Config, opponent: AnyModel) -> RowFormat:
        return rows

    def __call__(self, parents: Stored, generator: torch.Generator) -> Ends:
        origin = self._kind.to_inputs(parents)
        start = STARTS.build(self._mine.start, self._mine.start_options)(origin, generator).to(self._device)
        end = climb(self._mine, self._teacher, self._opponent, origin.to(self._device), start, self._bounds)
        inputs = torch.where(end.finite.view(-1, *[1] * (end.inputs.ndim - 1)), end.inputs, 0)
        return Ends(
            stored=self._kind.to_stored(inputs.cpu()),
            gap_before=end.gap_before.float().cpu(),
            gap=end.gap.float().cpu(),
            steps=end.steps.cpu(),
            finite=end.finite.cpu(),
        )


def _bounds(config: Config, natural: tuple[float, float] | None, cache: Manifest, device: torch.device) -> Bounds:
    mine = config.mine
    low: float | torch.Tensor
    high: float | torch.Tensor
    if mine.bounds is not None:
        low, high = mine.bounds
    elif natural is not None:
        low, high = natural
    else:
        low = torch.tensor(cache.details["low"], device=device)
        high = torch.tensor(cache.details["high"], device=device)
    return Bounds(low, high, mine.ball, mine.radius)
