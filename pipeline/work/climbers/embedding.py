"""Text, stored as shifts of the student's token embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from pipeline.kinds import Stored
from pipeline.kinds.deltas import DeltaCodec
from pipeline.mining import Climb
from pipeline.mining.embedding import TokenBounds, mean_norm
from pipeline.models import TextModel
from pipeline.shards.rows import RowFormat
from pipeline.text.batch import TokenBatch
from pipeline.text.sentences import Perturbed, Sentence, Tokens
from pipeline.work.climbers.base import Ends, climb
from schemas.config import Config
from schemas.registry import DELTAS, STARTS
from schemas.sections import MineConfig


@dataclass(frozen=True)
class Shifted:
    """The ends of N climbs in embedding space.

    Attributes:
        tokens: of the N parents.
        batch: the same as tensors.
        shift: (N, L, D) of the opponent's embeddings, zero at all but real tokens.
        climb: as `ascend` gave it, in mean embedding norms.
    """

    tokens: list[Tokens]
    batch: TokenBatch
    shift: torch.Tensor
    climb: Climb


class EmbeddingClimber:
    """Climbs with one shift for both models, added to the student's embeddings and carried to the teacher's by Q.

    The shift is counted in mean norms of the student's token embeddings, as step sizes and radii therefore are.
    """

    def __init__(self, config: Config, teacher: TextModel, opponent: TextModel, rows: RowFormat) -> None:
        self._mine, self._teacher, self._opponent = config.mine, teacher, opponent
        self._unit = mean_norm(opponent.embeddings)
        self._kind = rows.kind_
        self._codec: DeltaCodec = DELTAS.build(config.mine.delta)
        self.tolerated = self._codec.tolerated

    @staticmethod
    def row_format(rows: RowFormat, config: Config, opponent: TextModel) -> RowFormat:
        shape = (*rows.shape, config.data.max_length, opponent.embeddings.shape[1])
        return replace(rows, shape=shape, delta=config.mine.delta)

    def __call__(self, parents: Stored, generator: torch.Generator) -> Ends:
        end = climb_embeddings(self._mine, self._teacher, self._opponent, self._unit, parents, generator)
        blank = ("",) * len(parents[0].texts)
        sentences = [
            Sentence(blank, Perturbed(tokens, self._codec.unpack(self._codec.pack(shift[real].numpy()))))
            for tokens, shift, real in zip(end.tokens, end.shift.cpu(), end.batch.real.cpu(), strict=True)
        ]
        return Ends(
            stored=self._kind.stack(sentences),
            gap_before=end.climb.gap_before.float().cpu(),
            gap=end.climb.gap.float().cpu(),
            steps=end.climb.steps.cpu(),
            finite=end.climb.finite.cpu(),
        )


def climb_embeddings(
    mine: MineConfig,
    teacher: TextModel,
    opponent: TextModel,
    unit: float,
    parents: Stored,
    generator: torch.Generator,
) -> Shifted:
    """Climb from every one of N plain sentences, at shifts of real tokens only, counted in `unit`."""
    device = opponent.device
    tokens = opponent.tokenizer.encode([sentence.texts for sentence in parents])
    batch = opponent.tokenizer.batch(tokens).to(device)
    width = opponent.embeddings.shape[1]

    def shifted(model: TextModel) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda shift: model.run(batch.with_delta(unit * shift))

    origin = torch.zeros(*batch.ids.shape, width)
    start = STARTS.build(mine.start, mine.start_options, features=width)(origin, generator)
    bounds = TokenBounds(batch.real, mine.ball, mine.radius)
    end = climb(mine, shifted(teacher), shifted(opponent), origin.to(device), start.to(device), bounds, rowwise=False)
    return Shifted(tokens, batch, unit * end.inputs, end)
