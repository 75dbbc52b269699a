from __future__ import annotations

import pytest
import torch

from schemas.errors import UserError
from schemas.registry import STARTS


def parents() -> torch.Tensor:
    return torch.rand(64, 2, 6, 5, generator=torch.Generator().manual_seed(0))


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


def test_cutmix_takes_one_box_of_one_other_image_and_leaves_the_larger_part():
    """Image k has the value k everywhere: what is not k comes from its partner."""
    count, height, width = 400, 9, 7
    given = torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, height, width)
    mixed = STARTS.build("cutmix")(given, torch.Generator().manual_seed(0))
    taken = mixed != given
    assert (taken == taken[:, :1]).all()  # the same of all channels
    shares = []
    for image, box in zip(mixed[:, 0], taken[:, 0], strict=True):
        if box.any():
            assert len(image[box].unique()) == 1
            rows, columns = box.any(dim=1), box.any(dim=0)
            assert torch.equal(box, rows[:, None] & columns) and _one_piece(rows) and _one_piece(columns)
            shares.append(float(box.float().mean()))
    assert len(shares) > count / 2 and max(shares) <= 0.5 and max(shares) > 0.3
    corners = taken[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.any(dim=0).all() and not taken.all()


def _one_piece(line):
    return int(line.int().diff().abs().sum()) <= 2 and bool(line.any())


@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize("flip", [True, False])
def test_crop_moves_and_mirrors(padding, flip):
    given = parents()[:1].expand(200, -1, -1, -1)
    options = {"pad": 2, "flip": flip, "padding": padding}
    found = STARTS.build("crop", options)(given, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(given[0], [2] * 4, mode="constant" if padding == "zero" else "reflect")
    moved = [padded[:, top : top + 6, left : left + 5] for top in range(5) for left in range(5)]
    possible = torch.stack([*moved, *(image.flip(2) for image in moved if flip)])
    equal = (found[:, None] == possible).flatten(2).all(dim=2)
    assert equal.any(dim=1).all()  # every image is one of them
    assert equal.any(dim=0).float().mean() > 0.9  # and nearly each of them occurs


def test_crop_of_nothing_is_the_sample():
    start = STARTS.build("crop", {"pad": 0, "flip": False})
    assert torch.equal(start(parents(), torch.Generator().manual_seed(0)), parents())


@pytest.mark.parametrize("name", ["cutmix", "crop"])
def test_only_images_can_be_cut(name):
    with pytest.raises(UserError, match=rf'"{name}" is for images.*\(8, 5\).*sample or noise'):
        STARTS.build(name)(torch.zeros(8, 5), torch.Generator())
