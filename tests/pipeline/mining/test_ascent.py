"""The climb against a plain float64 reference, and what it must never do to models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import nn

from pipeline.mining import Bounds, Climb, ascend
from pipeline.mining.ascent import DECAYS
from schemas.registry import OBJECTIVES, STEP_RULES

CASES = [
    ("l2", "gradient", 0.01, {}),
    ("l2", "l2", 0.2, {}),
    ("l2", "smooth", 0.2, {}),
    ("l2", "sign", 0.02, {}),
    ("l2", "adam", 0.02, {}),
    ("kl", "l2", 0.2, {"temperature": 2.0}),
    ("kl", "gradient", 0.1, {"temperature": 4.0}),
    ("js", "l2", 0.2, {"temperature": 1.0}),
    ("js", "adam", 0.05, {"temperature": 4.0}),
]


def network(seed: int, classes: int = 4) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(144, classes)
        )
        net[1].running_mean.uniform_(-0.5, 0.5)
        net[1].running_var.uniform_(0.5, 1.5)
    return net.eval().requires_grad_(False)


def images(count: int = 5) -> torch.Tensor:
    return torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def reference_gap(objective: str, options: dict[str, float], t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """The objective of one sample, by its definition."""
    if objective == "l2":
        return ((t - s) ** 2).sum()
    tau = options["temperature"]
    p, q = torch.exp(t / tau), torch.exp(s / tau)
    p, q = p / p.sum(), q / q.sum()
    if objective == "kl":
        return tau**2 * (p * torch.log(p / q)).sum()
    m = (p + q) / 2
    return tau**2 * ((p * torch.log(p / m)).sum() + (q * torch.log(q / m)).sum()) / 2


def reference_climb(teacher, student, x0, objective, options, rule, size, steps, decay):
    """One sample, one step at a time, in float64: (best point, gap at the start, best gap, its step)."""
    x, mean, square = x0.clone(), torch.zeros_like(x0), torch.zeros_like(x0)
    best, best_gap, best_step, first = x, -np.inf, 0, None
    for step in range(steps + 1):
        x.requires_grad_(True)
        gap = reference_gap(objective, options, teacher(x[None])[0], student(x[None])[0])
        (gradient,) = torch.autograd.grad(gap, x)
        x = x.detach()
        value = gap.item()
        first = value if step == 0 else first
        if value > best_gap:
            best, best_gap, best_step = x, value, step
        if step == steps:
            break
        if rule == "l2":
            direction = gradient / gradient.pow(2).sum().sqrt()
        elif rule == "smooth":
            blurred = torch.from_numpy(gaussian_filter(gradient.numpy(), (0, 1, 1), mode="constant", truncate=3))
            direction = blurred / blurred.pow(2).sum().sqrt()
        elif rule == "sign":
            direction = torch.sign(gradient)
        elif rule == "adam":
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            direction = (mean / (1 - 0.9 ** (step + 1))) / ((square / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
        else:
            direction = gradient
        x = (x + size * DECAYS[decay](step / steps) * direction).clamp(0, 1)
    return best, first, best_gap, best_step


def climb(objective="l2", rule="l2", size=0.2, options=None, dtype=torch.float32, **changes):
    parents = images().to(dtype)
    arguments = {
        "objective": OBJECTIVES.build(objective, options or {}),
        "step_rule": STEP_RULES.build(rule),
        "bounds": Bounds(0.0, 1.0),
        "steps": 6,
        "step_size": size,
        **changes,
    }
    return ascend(network(1).to(dtype), network(2).to(dtype), parents, parents.clone(), **arguments)


@pytest.mark.parametrize(("objective", "rule", "size", "options"), CASES)
@pytest.mark.parametrize("decay", sorted(DECAYS))
def test_matches_the_float64_reference(objective, rule, size, options, decay):
    exact = climb(objective, rule, size, options, torch.float64, step_decay=decay)
    single = climb(objective, rule, size, options, torch.float32, step_decay=decay)
    teacher, student = network(1).double(), network(2).double()
    for index, start in enumerate(images().double()):
        best, first, gap, step = reference_climb(teacher, student, start, objective, options, rule, size, 6, decay)
        assert torch.allclose(exact.inputs[index], best, atol=1e-9)
        assert exact.gap_before[index].item() == pytest.approx(first, rel=1e-9)
        assert exact.gap[index].item() == pytest.approx(gap, rel=1e-9)
        assert exact.steps[index].item() == step
        assert single.gap[index].item() == pytest.approx(gap, rel=1e-3)


@pytest.mark.parametrize(("objective", "rule", "size", "options"), CASES)
def test_climbs_widen_the_gap_and_stay_inside(objective, rule, size, options):
    result = climb(objective, rule, size, options)
    assert (result.gap >= result.gap_before).all() and (result.gap > result.gap_before).any()
    assert result.inputs.min() >= 0 and result.inputs.max() <= 1
    assert result.finite.all()


def test_gap_is_that_of_the_returned_inputs():
    result = climb()
    gap = (network(1)(result.inputs) - network(2)(result.inputs)).square().sum(dim=1)
    assert torch.allclose(gap, result.gap, rtol=1e-5)


def test_overshooting_returns_the_best_iterate_not_the_last():
    result = climb(rule="sign", size=0.7, steps=9)
    assert (result.gap >= result.gap_before).all()
    assert (result.steps < 9).any()


def test_no_steps_return_the_projected_start():
    parents = images()
    result = climb(steps=0)
    assert torch.equal(result.inputs, parents) and torch.equal(result.gap, result.gap_before)
    assert (result.steps == 0).all()


def test_samples_do_not_influence_each_other():
    together = climb(rule="adam", size=0.05)
    for index in range(5):
        alone = ascend(
            network(1),
            network(2),
            images()[index : index + 1],
            images()[index : index + 1],
            objective=OBJECTIVES.build("l2"),
            step_rule=STEP_RULES.build("adam"),
            bounds=Bounds(0.0, 1.0),
            steps=6,
            step_size=0.05,
        )
        assert torch.allclose(alone.inputs[0], together.inputs[index], atol=1e-5)


def test_patience_stops_a_sample_that_no_longer_gains():
    calls = 0
    teacher, student = network(1), network(2)

    def counting(x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return teacher(x)

    corner = torch.ones(3, 1, 6, 6)
    ascend(
        counting, student, corner, corner, objective=OBJECTIVES.build("l2"), step_rule=lambda g: torch.zeros_like(g),
        bounds=Bounds(0.0, 1.0), steps=50, step_size=0.1, patience=2,
    )  # fmt: skip
    assert calls == 3


@pytest.mark.parametrize(("rule", "size"), [("l2", 4.0), ("adam", 0.5)])
def test_samples_that_have_stopped_cost_nothing(rule, size):
    seen = []
    teacher, student = network(1), network(2)

    def watching(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return teacher(x)

    settings = {
        "objective": OBJECTIVES.build("l2"),
        "bounds": Bounds(0.0, 1.0, "linf", 0.5),
        "steps": 30,
        "step_size": size,
    }
    start = torch.cat([images(), torch.ones(3, 1, 6, 6)])

    def climb(rowwise: bool) -> Climb:
        step_rule = STEP_RULES.build(rule)
        return ascend(watching, student, start, start, step_rule=step_rule, patience=2, rowwise=rowwise, **settings)

    climbs = [climb(rowwise=False), climb(rowwise=True)]
    calls = len(seen) // 2
    assert seen[:calls] == [8] * calls
    assert seen[calls:] == sorted(seen[calls:], reverse=True)
    assert sum(seen[calls:]) < sum(seen[:calls])
    for name in ("inputs", "gap", "gap_before", "steps", "finite"):
        assert torch.allclose(*(getattr(climb, name).double() for climb in climbs), atol=1e-5)


@pytest.mark.parametrize("where", ["output", "gradient"])
def test_a_sample_that_is_not_finite_is_flagged_and_harms_no_other(where):
    parents = images()
    poison = parents[2, 0, 0, 0].item()

    def broken(x: torch.Tensor) -> torch.Tensor:
        hit = (x[:, 0, 0, 0] == poison)[:, None]
        out = network(1)(x)
        if where == "output":
            return torch.where(hit, torch.nan, out)
        return out + torch.where(hit, (x[:, 0, :1, 0] - poison).abs().sqrt(), 0)

    options = {"objective": OBJECTIVES.build("l2"), "bounds": Bounds(0.0, 1.0), "steps": 4, "step_size": 0.1}
    result = ascend(broken, network(2), parents, parents, step_rule=STEP_RULES.build("adam"), **options)
    clean = ascend(network(1), network(2), parents, parents, step_rule=STEP_RULES.build("adam"), **options)
    assert result.finite.tolist() == [True, True, False, True, True]
    others = result.finite
    assert torch.allclose(result.inputs[others], clean.inputs[others], atol=1e-6)


def test_models_are_only_looked_at():
    teacher, student = network(1), network(2)
    before = {n: v.clone() for net in (teacher, student) for n, v in net.state_dict(prefix=str(id(net))).items()}
    parents = images()
    ascend(
        teacher, student, parents, parents, objective=OBJECTIVES.build("l2"), step_rule=STEP_RULES.build("l2"),
        bounds=Bounds(0.0, 1.0), steps=3, step_size=0.1,
    )  # fmt: skip
    after = {n: v for net in (teacher, student) for n, v in net.state_dict(prefix=str(id(net))).items()}
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for net in (teacher, student) for p in net.parameters())
    assert torch.equal(parents, images())


@settings(max_examples=50, deadline=None)
@given(
    ball=st.sampled_from(["l2", "linf", None]),
    radius=st.floats(1e-3, 5),
    spread=st.floats(0, 10),
    seed=st.integers(0, 1000),
)
def test_projection_lands_in_the_region_and_keeps_what_is_inside(ball, radius, spread, seed):
    generator = torch.Generator().manual_seed(seed)
    parents = torch.rand(4, 3, 2, generator=generator)
    wild = parents + spread * torch.randn(4, 3, 2, generator=generator)
    bounds = Bounds(0.0, 1.0, ball, radius)
    inside = bounds.project(wild, parents)
    assert inside.min() >= 0 and inside.max() <= 1
    offset = (inside - parents).flatten(1)
    if ball == "l2":
        assert (offset.norm(dim=1) <= radius * (1 + 1e-5) + 1e-6).all()
    if ball == "linf":
        assert (offset.abs() <= radius * (1 + 1e-5) + 1e-6).all()
    assert torch.allclose(bounds.project(inside, parents), inside, atol=1e-6)


def test_bounds_may_differ_per_feature():
    bounds = Bounds(torch.tensor([0.0, -1.0]), torch.tensor([1.0, 2.0]))
    wild = torch.tensor([[5.0, 5.0], [-5.0, -5.0]])
    assert bounds.project(wild, wild).tolist() == [[1.0, 2.0], [0.0, -1.0]]
