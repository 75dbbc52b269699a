"""The map between embeddings, the bounds of a climb in them, and such a climb against a plain float64 reference."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.mining import ascend
from pipeline.mining.embedding import TokenBounds, fit_map, mean_norm
from schemas.registry import OBJECTIVES, STARTS, STEP_RULES


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_equal_embeddings_need_no_map() -> None:
    found = fit_map(draw(9, 4), draw(9, 4))
    assert found.matrix is None
    assert found.residual == 0


@pytest.mark.parametrize(("teacher", "student"), [(4, 4), (6, 3), (3, 6)])
def test_the_map_is_that_of_least_squares(teacher: int, student: int) -> None:
    to, of = draw(50, teacher), draw(50, student, seed=1)
    found = fit_map(to.float(), of.float())
    expected = torch.linalg.lstsq(of, to).solution.T
    assert found.matrix is not None
    assert found.matrix.dtype == torch.float32
    assert torch.allclose(found.matrix.double(), expected, atol=1e-5)
    assert found.residual == pytest.approx(float((to - of @ expected.T).norm() / to.norm()), rel=1e-4)


def test_an_exact_map_is_found_whatever_the_rank() -> None:
    of = draw(50, 5, seed=1)
    of[:, 4] = of[:, 0]  # the embeddings say one thing twice
    true = draw(7, 5)
    found = fit_map(of @ true.T, of)
    assert found.matrix is not None
    assert found.residual == pytest.approx(0, abs=1e-6)
    assert torch.allclose(of @ found.matrix.double().T, of @ true.T, atol=1e-4)


def test_the_unit_is_the_mean_norm_of_the_embeddings() -> None:
    assert mean_norm(torch.tensor([[3.0, 4.0], [0.0, 1.0]])) == 3


@given(st.sampled_from([None, "l2", "linf"]), st.floats(0.01, 5), st.integers(0, 9))
def test_shifts_stay_on_real_tokens_and_in_the_ball(ball: str | None, radius: float, seed: int) -> None:
    real = torch.tensor([[False, True, True, False], [True, False, False, False]])
    parents, inputs = torch.zeros(2, 4, 3), draw(2, 4, 3, seed=seed).float()
    bounds = TokenBounds(real, ball, radius)
    inside = bounds.project(inputs, parents)
    assert (inside[~real] == 0).all()
    length = {None: lambda x: x.new_zeros(()), "l2": lambda x: x.norm(dim=-1), "linf": lambda x: x.abs()}[ball]
    assert (length(inside[real]) <= radius * (1 + 1e-5)).all()
    if ball is None:
        assert torch.equal(inside[real], inputs[real])
    assert torch.allclose(bounds.project(inside, parents), inside, atol=1e-6)


def test_noise_moves_tokens_by_its_length_whatever_the_width() -> None:
    for width in (4, 400):
        start = STARTS.build("noise", {"std": 0.7}, features=width)
        moved = start(torch.zeros(200, 3, width), torch.Generator().manual_seed(0))
        assert float(moved.norm(dim=-1).square().mean().sqrt()) == pytest.approx(0.7, rel=0.1)


class Reader(nn.Module):
    """Embeddings (N, L, D) -> logits, with a non-linearity between tokens."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.mix, self.out = nn.Linear(width, 5), nn.Linear(5, 3)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.mix(embeddings)).cumsum(dim=1).tanh().sum(dim=1))


@pytest.mark.parametrize("rule", ["token", "sentence", "l2", "gradient"])
@pytest.mark.parametrize("ball", [None, "l2"])
def test_a_climb_in_embedding_space_is_that_of_a_float64_reference(rule: str, ball: str | None) -> None:
    teacher, student = Reader(6, 0).requires_grad_(False), Reader(4, 1).requires_grad_(False)
    of, to, matrix = draw(3, 5, 4), draw(3, 5, 6, seed=1), draw(6, 4, seed=2)
    real = torch.tensor([[0, 1, 1, 1, 0], [0, 1, 0, 0, 0], [0, 1, 1, 0, 0]]).bool()
    steps, size, radius, unit = 4, 0.3, 0.5, 1.7

    def shifted(net: nn.Module, own: torch.Tensor, carry: torch.Tensor | None):
        def call(shift: torch.Tensor) -> torch.Tensor:
            moved = unit * shift * real[..., None]
            return net(own.to(shift) + (moved if carry is None else moved @ carry.T.to(shift)))

        return call

    origin = torch.zeros(3, 5, 4)
    end = ascend(
        shifted(teacher, to, matrix),
        shifted(student, of, None),
        origin,
        origin,
        objective=OBJECTIVES.build("l2"),
        step_rule=STEP_RULES.build(rule),
        bounds=TokenBounds(real, ball, radius),
        steps=steps,
        step_size=size,
    )
    t, s = teacher.double(), student.double()
    for row in range(3):
        best, gap = reference(t, s, to[row], of[row], matrix, real[row], rule, ball, steps, size, radius, unit)
        assert end.gap[row] == pytest.approx(gap, rel=1e-4)
        assert torch.allclose(end.inputs[row].double(), best, atol=1e-4)


def reference(t, s, to, of, matrix, real, rule, ball, steps, size, radius, unit):
    """One sample, token by token: (best shift, its gap)."""
    shift, best, best_gap = torch.zeros_like(of), None, -math.inf
    for step in range(steps + 1):
        shift.requires_grad_(True)
        kept = shift * real[:, None]
        gap = ((t((to + unit * kept @ matrix.T)[None]) - s((of + unit * kept)[None])) ** 2).sum()
        (gradient,) = torch.autograd.grad(gap, shift)
        shift = shift.detach()
        if gap.item() > best_gap:
            best, best_gap = shift, gap.item()
        if step == steps:
            return best, best_gap
        moved = []
        for token in range(len(of)):
            direction = gradient[token]
            if rule == "token" and direction.norm() > 0:
                direction = direction / direction.norm()
            elif rule in ("l2", "sentence"):
                direction = direction / gradient.norm() * (1 if rule == "l2" else math.sqrt(int(real.sum())))
            point = shift[token] + size * direction
            if ball == "l2" and point.norm() > radius:
                point = point * radius / point.norm()
            moved.append(point if real[token] else torch.zeros_like(point))
        shift = torch.stack(moved)
