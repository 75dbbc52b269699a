"""Models of one number, for regression.py; configs name them as `paper.models:NAME`."""

from __future__ import annotations

import torch
from torch import nn


class Polynomial(nn.Module):
    """A polynomial of x in [-1, 1]: float (N, 1) -> (N, 1).

    It is written as a sum of Chebyshev polynomials, which gradient descent tells apart, as it does not powers of x.

    Args:
        degree: at least 1; it has degree + 1 weights.
    """

    def __init__(self, degree: int) -> None:
        super().__init__()
        self.degree = degree
        self.weights = nn.Linear(degree + 1, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        terms = [torch.ones_like(x), x]
        while len(terms) <= self.degree:
            terms.append(2 * x * terms[-1] - terms[-2])
        values: torch.Tensor = self.weights(torch.cat(terms, dim=1))
        return values


def network(hidden: list[int]) -> nn.Module:
    """A multilayer perceptron of one number, float (N, 1) -> (N, 1), as smooth as a polynomial.

    Args:
        hidden: widths of the hidden layers.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in zip([1, *hidden], hidden, strict=False):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], 1))
