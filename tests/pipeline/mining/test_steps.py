from __future__ import annotations

import pytest
import torch

from schemas.registry import STEP_RULES


def gradient() -> torch.Tensor:
    return torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", STEP_RULES.names)
def test_a_first_step_goes_uphill(name):
    direction = STEP_RULES.build(name)(gradient())
    assert ((direction * gradient()).flatten(1).sum(dim=1) > 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_l2_has_unit_length_whatever_the_scale(scale):
    direction = STEP_RULES.build("l2")(gradient() * scale)
    assert torch.allclose(direction.flatten(1).norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("name", STEP_RULES.names)
def test_a_zero_gradient_gives_no_step(name):
    assert torch.equal(STEP_RULES.build(name)(torch.zeros(2, 3)), torch.zeros(2, 3))


@pytest.mark.parametrize("name", ["sign", "adam"])
def test_size_of_a_first_step_does_not_depend_on_the_gradient(name):
    direction = STEP_RULES.build(name)(gradient())
    assert torch.allclose(direction.abs(), torch.ones_like(direction), atol=1e-4)


def test_adam_is_torch_adam_with_the_sign_turned():
    point = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([point], lr=0.1)
    rule, climbed = STEP_RULES.build("adam"), torch.zeros(2, 3, dtype=torch.float64)
    for seed in range(5):
        step = torch.randn(2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        point.grad = -step
        optimizer.step()
        climbed += 0.1 * rule(step)
    assert torch.allclose(climbed, point.detach(), atol=1e-12)
