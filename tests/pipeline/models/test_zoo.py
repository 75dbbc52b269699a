from __future__ import annotations

import pytest
import torch

from pipeline.models.cnn import cnn
from pipeline.models.mlp import mlp
from pipeline.models.resnet import resnet
from pipeline.models.weights import count_parameters
from schemas.errors import UserError


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (9, 17), (1, 1)])
@pytest.mark.parametrize(
    "model",
    [
        cnn(7, channels=2, width=4),
        cnn(7, channels=2, width=4, depth=1, norm=False),
        resnet(7, channels=2, depth=8, width=4),
    ],
    ids=["cnn", "shallow cnn", "resnet"],
)
def test_image_nets_take_any_size(model: torch.nn.Module, size: tuple[int, int]) -> None:
    assert model.eval()(torch.rand(3, 2, *size)).shape == (3, 7)


@pytest.mark.parametrize("shape", [(12,), (3, 2, 2)])
@pytest.mark.parametrize("hidden", [(), (5,), [6, 4]])
def test_mlp_flattens(shape: tuple[int, ...], hidden: list[int]) -> None:
    assert mlp(12, 4, hidden, dropout=0.1)(torch.rand(3, *shape)).shape == (3, 4)


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        (mlp(4, 3, (5,)), 4 * 5 + 5 + 5 * 3 + 3),
        (mlp(4, 3, ()), 4 * 3 + 3),
        (cnn(10, width=16, depth=4), 7_610),
        (cnn(10, width=128, depth=5), 595_594),
        (cnn(3, channels=2, width=4, depth=2, norm=False), (50 * 4 + 4) + (36 * 4 + 4) + 4 * 3 + 3),
        (resnet(10, depth=20), 269_722),
        (resnet(10, depth=56), 853_018),
    ],
    ids=["mlp", "linear", "cnn student", "cnn teacher", "cnn without norm", "resnet-20", "resnet-56"],
)
def test_sizes(model: torch.nn.Module, weights: int) -> None:
    """ResNet-20 has 0.27 M and ResNet-56 0.85 M weights in the paper (table 6)."""
    assert count_parameters(model) == weights


def test_dropout_acts_in_training_only() -> None:
    model, inputs = mlp(6, 3, (64,), dropout=0.5), torch.rand(4, 6)
    assert not torch.equal(model(inputs), model(inputs))
    model.eval()
    assert torch.equal(model(inputs), model(inputs))


@pytest.mark.parametrize("depth", [2, 18, 21, -4])
def test_resnet_refuses_other_depths(depth: int) -> None:
    with pytest.raises(UserError, match=rf"depth = {depth}; takes 6n \+ 2"):
        resnet(10, depth=depth)


def test_cnn_refuses_no_depth() -> None:
    with pytest.raises(UserError, match="depth = 0; takes 1 or more"):
        cnn(10, depth=0)


@pytest.mark.parametrize("model", [cnn(2, width=4), resnet(2, channels=1, depth=8, width=4)], ids=["cnn", "resnet"])
def test_image_nets_can_be_trained(model: torch.nn.Module) -> None:
    """Bright against dark images, a few steps."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(32) % 2
    inputs = torch.rand(32, 1, 8, 8, generator=draw) * 0.5 + labels[:, None, None, None] * 0.5
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    assert (model(inputs).argmax(1) == labels).float().mean() > 0.9
