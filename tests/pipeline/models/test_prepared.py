"""The form that models have in climbs is the same function, whatever the user's code does; the model stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pipeline.mining import Bounds, ascend
from pipeline.models import Wrapped, freeze, prepare
from pipeline.models.cnn import cnn
from pipeline.models.mlp import mlp
from pipeline.models.resnet import resnet
from schemas.registry import OBJECTIVES, STEP_RULES


class Reused(nn.Module):
    """The convolution's output has another use than the batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv(x)
        return self.head((self.norm(hidden) + 1e-3 * hidden).mean((2, 3)))


class Twice(nn.Module):
    """One layer is called twice, and one batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1), nn.Linear(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(self.norm(self.conv(x)))).mean((2, 3)))


class Stubborn(nn.Module):
    """Takes float32 only."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            raise TypeError(f"{x.dtype}")
        return self.layers(x)


def vectors() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "cnn": (lambda: cnn(3, 1, 8, 3), (1, 8, 8), 3),
    "cnn without norm": (lambda: cnn(3, 1, 8, 3, norm=False), (1, 8, 8), 0),
    "resnet": (lambda: resnet(3, 3, 14, 4), (3, 8, 8), 13),
    "mlp": (lambda: mlp(8, 3), (8,), 0),
    "vectors": (vectors, (8,), 1),
    "reused": (Reused, (1, 8, 8), 0),
    "twice": (Twice, (1, 8, 8), 0),
    "stubborn": (Stubborn, (1, 8, 8), 0),
}


def model(name: str, seed: int = 0) -> Wrapped:
    """Frozen, with running statistics that are not those of a new net."""
    torch.manual_seed(seed)
    inner = CASES[name][0]()
    for module in inner.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return freeze(Wrapped(inner, [0.4], [0.3]))


def samples(name: str, count: int) -> Tensor:
    return torch.rand(count, *CASES[name][1], generator=torch.Generator().manual_seed(1))


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_same_function_and_the_model_stays_as_it_is(name: str) -> None:
    net, inputs = model(name), samples(name, 5)
    before = copy.deepcopy(net.state_dict())
    random = torch.get_rng_state()
    fast = prepare(net, inputs[:1], "fp32")
    assert norms(net) - norms(fast) == CASES[name][2]
    assert torch.allclose(fast(inputs), net(inputs), atol=1e-5)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert not any(module.training for module in fast.modules())
    twice = prepare(net, inputs[:1], "fp32")
    assert torch.equal(fast(inputs), twice(inputs)), "every worker must have the same bits"


@pytest.mark.parametrize("name", [name for name in CASES if name != "stubborn"])
def test_bf16_is_what_autocast_makes_of_the_model(name: str) -> None:
    net, inputs = model(name), samples(name, 64)
    fast = prepare(net, inputs[:1], "bf16")
    exact = net(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        errors = [float((found(inputs).float() - exact).abs().mean()) for found in (net, fast)]
    assert errors[1] <= 1.5 * errors[0] + 1e-6
    assert net.state_dict().keys() == model(name).state_dict().keys()
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["cnn", "resnet", "vectors"])
@pytest.mark.parametrize(("precision", "allowed"), [("fp32", 1e-3), ("bf16", 0.05)])
def test_climbs_reach_the_gap_of_float64(name: str, precision: str, allowed: float) -> None:
    teacher, student = model(name, 1), model(name, 2)
    start = samples(name, 32)

    def climb(pair: list[nn.Module], dtype: torch.dtype) -> Tensor:
        ends = ascend(
            *pair,
            start.to(dtype),
            start.to(dtype),
            objective=OBJECTIVES.build("l2"),
            step_rule=STEP_RULES.build("l2"),
            bounds=Bounds(0.0, 1.0),
            steps=5,
            step_size=0.1,
        ).inputs.double()
        return (exact[0](ends) - exact[1](ends)).square().sum(1)

    exact = [copy.deepcopy(net).double() for net in (teacher, student)]
    wanted = climb(exact, torch.float64)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        found = climb([prepare(net, start[:1], precision) for net in (teacher, student)], torch.float32)
    assert float(found.mean()) == pytest.approx(float(wanted.mean()), rel=allowed)
