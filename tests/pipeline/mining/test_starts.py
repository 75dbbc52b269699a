from __future__ import annotations

import pytest
import torch

from schemas.registry import STARTS


def parents() -> torch.Tensor:
    return torch.rand(64, 3, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", STARTS.names)
def test_seeded_and_leaves_the_parents_alone(name):
    given = parents()
    first, again, other = (STARTS.build(name)(given, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and first.shape == given.shape and first.dtype == torch.float32
    assert torch.equal(first, other) == (name == "sample")
    assert torch.equal(given, parents())


def test_noise_has_the_standard_deviation_asked_for():
    given = torch.zeros(200, 100)
    start = STARTS.build("noise", {"std": 0.25})(given, torch.Generator().manual_seed(0))
    assert start.std().item() == pytest.approx(0.25, rel=0.02) and abs(start.mean().item()) < 0.01


def test_mixup_stays_nearer_to_the_parent_than_to_the_partner():
    given = torch.eye(32)
    start = STARTS.build("mixup", {"alpha": 1.0})(given, torch.Generator().manual_seed(0))
    assert torch.allclose(start.sum(dim=1), torch.ones(32))
    assert (start.diagonal() >= 0.5).all() and (start.diagonal() < 1).any()
