"""The training loop: a fixed number of optimiser steps that can be broken off and taken up again exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import torch

from pipeline.distill.batches import BatchPlan, Indices
from pipeline.distill.criterion import Criterion
from pipeline.distill.optim import learning_rate
from pipeline.distill.pool import Batch, Pool, Window
from pipeline.distill.ranks import ALONE, Ranks
from pipeline.seeds import numpy_generator


@dataclass(frozen=True)
class Segment:
    """A stretch of a budget.

    Attributes:
        steps: optimiser steps of this stretch.
        begin, end: the share of the whole budget that is spent before and after it, for the schedule.
        seed: of the order of samples and of dropout.
    """

    steps: int
    begin: float
    end: float
    seed: int


@dataclass(frozen=True)
class Recipe:
    """Settings of the loop; see `[train]` in the config."""

    plan: BatchPlan
    criterion: Criterion
    lr: float
    schedule: str
    warmup: float


@dataclass
class State:
    """Where the loop stands; with the model's, the optimiser's and torch's random state, all that a resume needs.

    Attributes:
        step: optimiser steps done in this segment.
        epochs: one row of metrics per finished epoch (the last one may be cut short by the budget).
        sums: running sums of the unfinished epoch, and the number of steps in them; of this rank's part of the batches.
    """

    step: int = 0
    epochs: list[dict[str, float]] = field(default_factory=list)
    sums: dict[str, float | torch.Tensor] = field(default_factory=dict)


def epoch_steps(pool: Pool, plan: BatchPlan) -> int:
    """Optimiser steps in one epoch."""
    return sum(plan.count(source, auxiliary) for source, auxiliary in pool.sizes)


def fit(
    student: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    pool: Pool,
    recipe: Recipe,
    segment: Segment,
    state: State,
    on_step: Callable[[State], None] = lambda state: None,
    ranks: Ranks = ALONE,
) -> State:
    """Train until `segment.steps` steps are done, going on from `state`.

    Args:
        student: trained in place; left in train mode. As `ranks.wrap` returns it.
        optimizer: over the student's parameters; its rate is set before every step.
        pool: what to train on.
        recipe: how.
        segment: how long, and where in the schedule.
        state: changed in place.
        on_step: called after every step, for progress and checkpoints.
        ranks: that share every batch. Which samples are in it does not depend on how many they are; neither do the
            metrics, but for rounding, where the student has no batch norm and no dropout.

    Returns:
        `state`, finished.
    """
    student.train()
    per_epoch = epoch_steps(pool, recipe.plan)
    try:
        for batch in _from_step(pool, recipe.plan, segment, state.step, per_epoch, ranks):
            done = segment.begin + (segment.end - segment.begin) * state.step / segment.steps
            rate = learning_rate(recipe.schedule, done, peak=recipe.lr, warmup=recipe.warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss, parts = recipe.criterion(student(batch.inputs), batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            state.step += 1
            _count(state, {"loss": loss.detach(), **parts})
            if state.step % per_epoch == 0 or state.step == segment.steps:
                _close_epoch(state, rate, ranks)
            on_step(state)
    finally:
        pool.stop()
    return state


def _from_step(
    pool: Pool, plan: BatchPlan, segment: Segment, step: int, per_epoch: int, ranks: Ranks
) -> Iterator[Batch]:
    """Batches of the segment from `step` on, without loading windows that are already done."""
    only = pool.load(0) if len(pool.sizes) == 1 else None
    left = segment.steps - step
    epoch, skip = divmod(step, per_epoch)
    while left > 0:
        order = _order(pool, segment, epoch)
        for index, following in zip(order, [*order[1:], _order(pool, segment, epoch + 1)[0]], strict=True):
            count = plan.count(*pool.sizes[index])
            if skip >= count:
                skip -= count
                continue
            window = None  # let go of before another takes its room
            window = only or pool.load(index, following if left > count - skip else None)
            for indices in _window_batches(window, plan, segment.seed, epoch, index, skip):
                yield window.batch(indices, ranks.index, ranks.count)
                left -= 1
                if left == 0:
                    return
            skip = 0
        epoch += 1


def _order(pool: Pool, segment: Segment, epoch: int) -> list[int]:
    """The windows of an epoch."""
    order: list[int] = numpy_generator(segment.seed, "windows", epoch).permutation(len(pool.sizes)).tolist()
    return order


def _window_batches(window: Window, plan: BatchPlan, seed: int, epoch: int, index: int, skip: int) -> Iterator[Indices]:
    generator = numpy_generator(seed, "batches", epoch, index)
    return islice(plan.batches(window.is_source, generator, window.lengths), skip, None)


def _count(state: State, figures: dict[str, torch.Tensor]) -> None:
    # Kept as tensors: reading a number from the device after every step would make the next one wait.
    for name, value in figures.items():
        state.sums[name] = state.sums.get(name, 0.0) + value
    state.sums["steps"] = state.sums.get("steps", 0) + 1


def _close_epoch(state: State, rate: float, ranks: Ranks) -> None:
    sums, state.sums = state.sums, {}
    steps = float(sums.pop("steps"))
    means = ranks.mean({name: float(value) / steps for name, value in sums.items()})
    state.epochs.append({"epoch": len(state.epochs) + 1, "step": state.step, "lr": rate, **means})
