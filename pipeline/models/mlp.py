"""Reference net for vectors: a multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def mlp(inputs: int, classes: int, hidden: Sequence[int] = (256,), dropout: float = 0.0) -> nn.Module:
    """Linear layers with ReLU between them.

    Maps float (N, ...) with `inputs` values per sample, which it flattens, to (N, classes).

    Args:
        inputs: values per sample.
        classes: outputs; for regression the number of targets.
        hidden: widths of the hidden layers; none gives a linear model.
        dropout: probability after each hidden layer, 0 to 1.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    width = inputs
    for following in hidden:
        layers += [nn.Linear(width, following), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = following
    return nn.Sequential(*layers, nn.Linear(width, classes))
