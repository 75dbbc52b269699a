from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from pipeline.models.base import unwrap
from pipeline.models.wrapper import Wrapped
from schemas.errors import UserError


class Pair(NamedTuple):
    hidden: Tensor
    logits: Tensor


class Returns(nn.Module):
    """A model whose output is computed by a given function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Any:
        return self.function(inputs)


@pytest.mark.parametrize(
    ("shape", "mean", "std"),
    [
        ((2, 3, 4, 5), [0.1, 0.2, 0.3], [0.5, 1.0, 2.0]),
        ((2, 3, 4, 5), [0.4], [0.5]),
        ((2, 3), [0.1, 0.2, 0.3], [0.5, 1.0, 2.0]),
        ((2, 3), [0.4], [0.5]),
        ((2, 3), None, None),
    ],
)
def test_normalises_along_channels_or_features(
    shape: tuple[int, ...], mean: list[float] | None, std: list[float] | None
) -> None:
    inputs = torch.rand(*shape)
    expected = inputs.clone()
    for channel in range(3):
        m = 0.0 if mean is None else mean[channel % len(mean)]
        s = 1.0 if std is None else std[channel % len(std)]
        expected[:, channel] = (inputs[:, channel] - m) / s
    torch.testing.assert_close(Wrapped(nn.Flatten(), mean, std)(inputs), expected.flatten(1))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 1, 4, 4), "mean has 3 values but inputs have 1 channels"), ((2, 4), "inputs have 4 features")],
)
def test_refuses_a_mean_that_does_not_fit(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Wrapped(nn.Flatten(), [0.1] * 3, [1.0] * 3)(torch.rand(*shape))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        lambda x: (x, "more"),
        lambda x: [x],
        lambda x: SimpleNamespace(logits=x),
        lambda x: Pair(hidden=x * 0, logits=x),
    ],
    ids=["tensor", "tuple", "list", "logits", "named tuple with logits"],
)
def test_finds_the_logits(function: Any) -> None:
    inputs = torch.rand(2, 3)
    assert torch.equal(Wrapped(Returns(function))(inputs), inputs)


def test_one_output_becomes_a_column() -> None:
    assert Wrapped(Returns(lambda x: x[:, 0]))(torch.rand(4, 3)).shape == (4, 1)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x[:, :, None], r"shape \(4, 3, 1\) for 4 samples; must be \(N, K\)"),
        (lambda x: x.sum(), r"shape \(\)"),
        (lambda x: x[:1], r"shape \(1, 3\) for 4 samples"),
        (lambda x: x.flatten(), r"shape \(12, 1\)"),
        (lambda x: x.argmax(1, keepdim=True), "int64; must be floating"),
        (lambda x: {"out": x}, "dict; must be a tensor"),
        (lambda x: (), "tuple; must be a tensor"),
        (lambda x: None, "NoneType; must be a tensor"),
    ],
)
def test_refuses_what_is_no_batch_of_logits(function: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Wrapped(Returns(function))(torch.rand(4, 3))


def test_gradient_reaches_the_inputs() -> None:
    inputs = torch.rand(2, 3, requires_grad=True)
    Wrapped(nn.Identity(), [0.0], [0.5])(inputs).sum().backward()
    torch.testing.assert_close(inputs.grad, torch.full((2, 3), 2.0))


def test_normalisation_is_not_part_of_the_weights() -> None:
    model = nn.Linear(3, 2)
    wrapped = Wrapped(model, [0.5], [0.5])
    assert unwrap(wrapped) is model
    assert unwrap(model) is model
    assert set(wrapped.state_dict()) == {"inner.weight", "inner.bias"}
