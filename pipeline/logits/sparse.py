"""Teacher outputs on a few of many classes, as they are trained on: never spread out over all classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from pipeline.lazy import torch
from schemas.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

NOTHING = -1e30
"""Stands for a logit of minus infinity, whose differences and gradients stay finite."""


@dataclass(frozen=True, slots=True)
class SparseLogits:
    """Teacher outputs of N samples on k of K classes each, and on all others together.

    Attributes:
        classes: int32 (N, k), all different where their logit is above -inf.
        logits: float32 (N, k); -inf where a place is not used, which then repeats a class that is. Of drawn classes the
            logarithms of their shares.
        rest: float32 (N,) log of the sum of exp(logit / T) over all other classes; -inf where they have no share.
        width: K.
        temperature: T, at which the shares are kept; logits themselves are undivided.
        drawn: the shares are estimates by sampling, at T only.
    """

    classes: Tensor
    logits: Tensor
    rest: Tensor
    width: int
    temperature: float
    drawn: bool = False

    def __len__(self) -> int:
        return len(self.rest)

    @property
    def device(self) -> torch.device:
        return self.rest.device

    def __getitem__(self, rows: Tensor | slice) -> SparseLogits:
        return replace(self, classes=self.classes[rows], logits=self.logits[rows], rest=self.rest[rows])

    def __setitem__(self, rows: slice, others: SparseLogits) -> None:
        self.classes[rows], self.logits[rows], self.rest[rows] = others.classes, others.logits, others.rest

    def reduced(self, student: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Logits (N, k + 1) of student and teacher, divided by the temperature: the k classes, and all others as one.

        Args:
            student: floating (N, K); the gradient flows through it to all classes.
            temperature: of the loss. The others' share at another one than T is that of equal logits.

        Raises:
            UserError: another temperature than the one at which classes were drawn.
        """
        if self.drawn and not math.isclose(temperature, self.temperature):
            raise UserError(
                f"the teacher's outputs were drawn at temperature {self.temperature:g}, the loss has {temperature:g}; "
                "set train.temperature to it, or cache.codec_options.temperature and run `bpkd cache --restart`"
            )
        used, chosen = self.logits > -math.inf, self.classes.long()
        scaled = student / temperature
        own = torch.where(used, scaled.gather(1, chosen), NOTHING)
        others = scaled.scatter(1, chosen, NOTHING).logsumexp(1, keepdim=True)
        shares = self.logits if self.drawn else self.logits / temperature
        teacher = torch.cat([shares, self._rest_at(temperature)[:, None]], 1)
        return torch.cat([own, others], 1), teacher.clamp_min(NOTHING).to(scaled.dtype)

    def most_likely(self) -> Tensor:
        """(N,) int64, the class with the largest share."""
        return self.classes.gather(1, self.logits.argmax(1, keepdim=True))[:, 0].long()

    def dense(self) -> Tensor:
        """(N, K) for people to look at: all the other classes alike, those that were not drawn at -inf."""
        count = self.width - self.classes.shape[1]
        scale = self.temperature
        others = torch.full_like(self.rest, -math.inf) if self.drawn or not count else self.rest - math.log(count)
        spread = (scale * others)[:, None].repeat(1, self.width)
        # The places that are not used come first, so that what is used overwrites them.
        order = self.logits.argsort(1)
        logits = self.logits * scale if self.drawn else self.logits
        for place in order.T[:, :, None]:
            spread.scatter_(1, self.classes.long().gather(1, place), logits.gather(1, place))
        return spread

    def positions(self, labels: Tensor) -> Tensor:
        """Class indices (N,) -> places in what `reduced` gives; -1 stays."""
        same = (self.classes == labels[:, None]) & (self.logits > -math.inf)
        place = torch.where(same.any(1), same.int().argmax(1), self.classes.shape[1])
        return torch.where(labels < 0, labels, place)

    def squared_error(self, student: Tensor) -> Tensor:
        """(N,) mean over the K classes of (s - t)², where all the other classes count as having the same logit.

        Raises:
            UserError: the outputs were drawn, and so are no logits.
        """
        if self.drawn:
            raise UserError('loss "mse" needs logits; cache.codec = "sampled" keeps probabilities: take "kl" or "topk"')
        chosen, count = student.gather(1, self.classes.long()), self.width - self.classes.shape[1]
        total = (chosen - self.logits).square().sum(1)
        if count:
            mean = self.temperature * (self.rest - math.log(count))[:, None]
            total = total + (student - mean).square().sum(1) - (chosen - mean).square().sum(1)
        return total / self.width

    def _rest_at(self, temperature: float) -> Tensor:
        count = self.width - self.classes.shape[1]
        if self.drawn or not count or temperature == self.temperature:
            return self.rest
        return (self.rest - math.log(count)) * self.temperature / temperature + math.log(count)


Logits: TypeAlias = "Tensor | SparseLogits"
"""Teacher outputs of N samples: float32 (N, K), or on some of the classes."""


def most_likely(logits: Logits) -> Tensor:
    """(N,) int64, the class that the teacher thinks most likely."""
    return logits.most_likely() if isinstance(logits, SparseLogits) else logits.argmax(1)


def spread_out(logits: Logits) -> Tensor:
    """(N, K), for people to look at a few samples."""
    return logits.dense() if isinstance(logits, SparseLogits) else logits


def concatenated(parts: Sequence[Logits]) -> Logits:
    """The rows of all parts, of which there is at least one, all of one codec."""
    sparse = [part for part in parts if isinstance(part, SparseLogits)]
    if not sparse:
        return torch.cat([part for part in parts if isinstance(part, torch.Tensor)])
    return replace(
        sparse[0],
        classes=torch.cat([part.classes for part in sparse]),
        logits=torch.cat([part.logits for part in sparse]),
        rest=torch.cat([part.rest for part in sparse]),
    )
