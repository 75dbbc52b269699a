"""Ranks share every batch: together they see what one process sees, and the mean of their losses is its loss."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.distill.batches import BatchPlan
from pipeline.distill.criterion import Criterion
from pipeline.distill.loop import Recipe, Segment, State, epoch_steps, fit
from pipeline.distill.pool import Batch, Window
from pipeline.distill.ranks import Alone
from schemas.registry import LOSSES


def window(samples: int, labels: str = "some", regression: bool = False) -> Window:
    """Samples 0, 1, 2, ..., whose stored form begins with their number."""
    draw = torch.Generator().manual_seed(samples)
    stored = torch.randn(samples, 4, generator=draw)
    stored[:, 0] = torch.arange(samples)
    targets = torch.randint(0, 3, (samples,), generator=draw)
    known = {"all": torch.ones(samples), "some": torch.arange(samples) % 3 == 1, "none": torch.zeros(samples)}[labels]
    if regression:
        values = torch.randn(samples, 3, generator=draw)
        targets = torch.where(known.bool()[:, None], values, torch.nan)
    else:
        targets = torch.where(known.bool(), targets, -1)
    logits = torch.randn(samples, 3, generator=draw)
    return Window(stored, logits, targets, np.arange(samples) % 2 == 0, lambda stored: stored)


@pytest.mark.parametrize("ranks", [2, 3, 5])
@pytest.mark.parametrize("samples", [2, 7, 12])
@pytest.mark.parametrize("labels", ["all", "some", "none"])
@pytest.mark.parametrize(("loss", "regression"), [("kl", False), ("dkd", False), ("mse", True)])
def test_the_mean_over_ranks_of_loss_and_gradient_is_that_of_the_whole_batch(ranks, samples, labels, loss, regression):
    samples_, indices = window(20, labels, regression), np.random.default_rng(0).permutation(20)[:samples]
    criterion = Criterion(LOSSES.build(loss), 0.3, regression=regression)
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)) / 9

    def outcome(batch: Batch) -> dict[str, torch.Tensor]:
        layer = weight.clone().requires_grad_(True)
        found, parts = criterion(batch.inputs @ layer, batch)
        found.backward()
        assert layer.grad is not None
        return {"loss": found.detach(), "gradient": layer.grad, **parts}

    whole = outcome(samples_.batch(indices))
    parts = [outcome(samples_.batch(indices, rank, ranks)) for rank in range(ranks)]
    for name, expected in whole.items():
        torch.testing.assert_close(torch.stack([part[name] for part in parts]).mean(0), expected, msg=name)


class Fake(Alone):
    """One of several ranks, without the others."""

    def __init__(self, index: int, count: int) -> None:
        self.index, self.count = index, count


@dataclass(frozen=True)
class Noted:
    """A criterion that notes which samples count."""

    seen: list[int]

    def __call__(self, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if batch.weight:
            self.seen.extend(batch.inputs[:, 0].int().tolist())
        return outputs.sum(), {}


class OffsetPool:
    """Windows of samples with numbers of their own."""

    def __init__(self, sizes: list[int]) -> None:
        windows = [window(size) for size in sizes]
        self.sizes = [(int(one.is_source.sum()), int((~one.is_source).sum())) for one in windows]
        for number, one in enumerate(windows):
            one.stored[:, 0] += sum(sizes[:number])
        self._windows = windows

    def load(self, index: int, following: int | None = None) -> Window:
        return self._windows[index]

    def stop(self) -> None:
        """Nothing is read."""


def seen(sizes: list[int], index: int, count: int, steps: int | None = None) -> list[int]:
    """Samples that one rank sees, in one epoch or so many steps."""
    noted: list[int] = []
    criterion: Any = Noted(noted)
    recipe = Recipe(BatchPlan(6, None), criterion, lr=0.0, schedule="constant", warmup=0.0)
    pool, net = OffsetPool(sizes), nn.Linear(4, 3)
    segment = Segment(steps or epoch_steps(pool, recipe.plan), 0.0, 1.0, seed=3)
    fit(net, torch.optim.SGD(net.parameters()), pool, recipe, segment, State(), ranks=Fake(index, count))
    return noted


def together(sizes: list[int], count: int, steps: int | None = None) -> Counter[int]:
    """Samples that `count` ranks see, and how often."""
    return Counter(number for index in range(count) for number in seen(sizes, index, count, steps))


@pytest.mark.parametrize("count", [2, 3, 4, 6])
@pytest.mark.parametrize("sizes", [[23], [1], [17, 9], [5, 1, 8, 2]], ids=str)
def test_an_epoch_is_every_sample_once_over_all_ranks(count, sizes):
    assert together(sizes, count) == Counter(range(sum(sizes)))


@pytest.mark.parametrize("steps", [1, 5])
def test_a_step_takes_the_same_samples_whatever_the_number_of_ranks(steps):
    assert together([23], 4, steps) == together([23], 2, steps) == together([23], 1, steps)
