from __future__ import annotations

import math

import pytest
import torch
from scipy.ndimage import gaussian_filter

from schemas.errors import UserError
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
    nothing = torch.zeros(2, 1, 3, 3)
    assert torch.equal(STEP_RULES.build(name)(nothing), nothing)


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


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.5])
def test_smooth_is_a_blurred_gradient_of_unit_length(sigma):
    direction = STEP_RULES.build("smooth", {"sigma": sigma})(gradient())
    wanted = torch.from_numpy(
        gaussian_filter(gradient().numpy(), (0, 0, sigma, sigma), mode="constant", radius=math.ceil(3 * sigma))
    )
    assert torch.allclose(direction, wanted / wanted.flatten(1).norm(dim=1)[:, None, None, None], atol=1e-5)


@pytest.mark.parametrize("sigma", [0, -1.0])
def test_smooth_takes_a_sigma_above_0(sigma):
    with pytest.raises(UserError, match="above 0"):
        STEP_RULES.build("smooth", {"sigma": sigma})
