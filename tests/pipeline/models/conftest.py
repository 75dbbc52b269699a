from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.models import TextModel, load_model
from pipeline.text.sentences import Perturbed, Sentence, Sentences, Tokens
from schemas.sections import ModelConfig


@pytest.fixture(scope="session")
def load_text() -> Callable[..., TextModel]:
    """A function (factory, root=, role=, classes=, seed=, max_length=, **section) -> text model on the CPU."""
    pytest.importorskip("transformers")

    def load(
        factory: str | Path,
        *,
        root: Path = Path("/nowhere"),
        role: Any = "student",
        classes: int | None = 2,
        seed: int = 0,
        max_length: int = 32,
        **section: Any,
    ) -> TextModel:
        model = load_model(
            ModelConfig(factory=f"hf:{factory}" if isinstance(factory, Path) else factory, **section),
            lambda path: str(root / path),
            role=role,
            shape=(),
            classes=classes,
            seed=seed,
            device="cpu",
            kind="text",
            max_length=max_length,
        )
        assert isinstance(model, TextModel)
        return model

    return load


@pytest.fixture(scope="session")
def sentences() -> Callable[..., Sentences]:
    """A function (*samples) -> Sentences; a sample is a text, a pair, or (Tokens, delta)."""

    def make(*samples: Any) -> Sentences:
        stored = np.empty(len(samples), dtype=object)
        for row, sample in enumerate(samples):
            if isinstance(sample, str):
                stored[row] = Sentence((sample,))
            elif isinstance(sample[0], Tokens):
                stored[row] = Sentence(("",), Perturbed(*sample))
            else:
                stored[row] = Sentence(sample)
        return Sentences(stored)

    return make
