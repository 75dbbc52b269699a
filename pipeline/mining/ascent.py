"""The climb: gradient ascent of the disagreement between two models, in input space. Tensors in, tensors out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from pipeline.mining.bounds import Region
from pipeline.mining.objectives.base import Objective
from pipeline.mining.steps.base import StepRule

Model = Callable[[torch.Tensor], torch.Tensor]

DECAYS: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
}


@dataclass(frozen=True)
class Climb:
    """The ends of N climbs.

    Attributes:
        inputs: (N, ...) best point of each climb, by gap.
        gap_before: (N,) gap at the start of the climb.
        gap: (N,) gap at `inputs`.
        steps: (N,) int64 number of steps that led to `inputs`.
        finite: (N,) bool, False where a gap or a gradient was not finite; such a sample is not to be used.
    """

    inputs: torch.Tensor
    gap_before: torch.Tensor
    gap: torch.Tensor
    steps: torch.Tensor
    finite: torch.Tensor


def ascend(
    teacher: Model,
    student: Model,
    parents: torch.Tensor,
    start: torch.Tensor,
    *,
    objective: Objective,
    step_rule: StepRule,
    bounds: Region,
    steps: int,
    step_size: float,
    step_decay: str = "constant",
    patience: int | None = None,
    rowwise: bool = True,
) -> Climb:
    """Climb `x <- project(x + eta * direction(grad_x D(T(x), S(x))))` from `start` (arXiv 2301.12006).

    The models must be frozen and in eval mode; they are called as they are and see nothing but `inputs`.

    Args:
        teacher, student: (N, ...) inputs -> (N, K) logits.
        parents: (N, ...) samples round which a ball is drawn.
        start: (N, ...) first points.
        objective: D, one gap per sample.
        step_rule: direction of a step, a fresh instance.
        bounds: region that every point is projected to, the start included.
        steps: number of steps; 0 returns the projected start.
        step_size: eta, in input units for the normalised rules.
        step_decay: of eta over the climb: constant, linear or cosine.
        patience: stop a sample after so many steps in a row without a better gap; None never stops.
        rowwise: the models take any of the N samples without the others, so that those that have stopped cost nothing.
    """
    x = bounds.project(start, parents).detach()
    count = len(x)
    best, best_gap = x.clone(), x.new_full((count,), -math.inf)
    best_step = torch.zeros(count, dtype=torch.int64, device=x.device)
    gap_before = x.new_full((count,), math.nan)
    finite = torch.ones(count, dtype=torch.bool, device=x.device)
    active = finite.clone()

    for step in range(steps + 1):
        last = step == steps
        climbing = active if rowwise and patience is not None and step else None
        gap, gradient = _evaluate(teacher, student, x, objective, with_gradient=not last, rows=climbing)
        if step == 0:
            gap_before = gap
        finite &= ~active | (gap.isfinite() & gradient.flatten(1).isfinite().all(dim=1))
        better = active & finite & (gap > best_gap)
        best = torch.where(_expand(better, x), x, best)
        best_gap = torch.where(better, gap, best_gap)
        best_step = torch.where(better, step, best_step)
        active &= finite
        if patience is not None:
            active &= step - best_step < patience
        # Asked only where it may be so, as the answer has to wait for the device.
        if last or (patience is not None and not active.any()):
            break
        eta = step_size * DECAYS[step_decay](step / steps)
        # A non-finite gradient must not enter the state of a rule that shares no more than a tensor with its batch.
        direction = step_rule(torch.where(_expand(finite, x), gradient, 0))
        x = torch.where(_expand(active, x), bounds.project(x + eta * direction, parents), x)
    return Climb(best, gap_before, best_gap, best_step, finite)


def _evaluate(
    teacher: Model,
    student: Model,
    x: torch.Tensor,
    objective: Objective,
    *,
    with_gradient: bool,
    rows: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gap (N,) and its gradient (N, ...) in the dtype of `x`; zeros for the gradient when it is not asked for.

    With `rows`, bool (N,), of these alone; zeros for the others.
    """
    if rows is not None:
        chosen = rows.nonzero()[:, 0]
        gap, gradient = x.new_zeros(len(x)), torch.zeros_like(x)
        gap[chosen], gradient[chosen] = _evaluate(teacher, student, x[chosen], objective, with_gradient=with_gradient)
        return gap, gradient
    with torch.set_grad_enabled(with_gradient):
        x = x.detach().requires_grad_(with_gradient)
        gap = objective(teacher(x).to(x.dtype), student(x).to(x.dtype))
        gradient = torch.autograd.grad(gap.sum(), x)[0] if with_gradient else torch.zeros_like(x)
    return gap.detach(), gradient


def _expand(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(N,) -> (N, 1, 1, ...)."""
    return mask.view(-1, *[1] * (like.ndim - 1))
