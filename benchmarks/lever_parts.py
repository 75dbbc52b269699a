"""A loss and a step rule of levers.py that are no part of bpkd; they also show how a config names one's own."""

from __future__ import annotations

from torch import Tensor

from pipeline.distill.losses.kl import KullbackLeibler
from pipeline.logits import Logits
from pipeline.mining.steps.smooth import SmoothStep


class ByGap(KullbackLeibler):
    """The KL loss, each sample weighted by its own: what is learnt already counts less. The mean weight is 1."""

    def __call__(self, student: Tensor, teacher: Logits, labels: Tensor) -> Tensor:
        losses = super().__call__(student, teacher, labels)
        weights = losses.detach()
        return losses * weights / weights.mean().clamp_min(1e-12)


class EveryOther(SmoothStep):
    """Blurred steps for every other sample of a batch; the rest stays where it starts."""

    def __call__(self, gradient: Tensor) -> Tensor:
        step = super().__call__(gradient)
        step[::2] = 0
        return step
