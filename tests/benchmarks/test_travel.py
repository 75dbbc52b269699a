"""What fresh students make of each data set: methods are comparable, and the table says what was measured."""

from __future__ import annotations

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("benchmarks")


@pytest.fixture
def travel() -> Any:
    return import_module("travel")


def test_every_method_stores_as_many_samples(travel: Any) -> None:
    comparison = import_module("comparison")
    scale = comparison.Scale("data", Path("work"), 3000, 8)
    configs = {name: comparison.config_of(travel.COMPARISON, name, 0, scale) for name in travel.COMPARISON.methods}
    stored = {name: config.run.rounds * config.mine.climbs for name, config in configs.items()}
    assert stored.pop("plain KD") == 0 and set(stored.values()) == {9}
    assert configs["bpkd share"].mine.opponent == "fresh"


def test_students_are_built_as_the_config_has_them(travel: Any) -> None:
    import torch

    from pipeline.models import load_model
    from schemas.sections import ModelConfig

    weights = {}
    for name, section in travel.FRESH.items():
        model = load_model(
            ModelConfig(**section), str, role="student", shape=(1, 28, 28), classes=10, seed=0, device="cpu"
        )
        assert model.eval()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
        weights[name] = sum(parameter.numel() for parameter in model.parameters())
    assert weights == {"the same": 7610, "twice as wide": 29034, "residual": 19074, "perceptron": 109386}


def test_the_last_column_is_the_mean_over_the_students(travel: Any) -> None:
    result = import_module("comparison").Result
    figures = {("a", 0): 0.80, ("b", 0): 0.60, ("a", 1): 0.90, ("b", 1): 0.70, ("continued", 0): 0.1}
    report = {
        "results": [
            asdict(result("bpkd", student, seed, value, value, 5000, 1.0)) for (student, seed), value in figures.items()
        ]
    }
    heads, line = travel.rows(report, "accuracy")
    assert heads == ["accuracy, %", "stored", "a", "b", "mean"]
    assert line == ["bpkd", "5,000", "85.0 ± 7.1", "65.0 ± 7.1", "75.0 ± 7.1"]
