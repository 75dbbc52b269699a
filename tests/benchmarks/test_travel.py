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


def configs_of(comparison: Any) -> dict[str, Any]:
    tools = import_module("comparison")
    scale = tools.Scale("data", Path("work"), 3000, 8)
    return {name: tools.config_of(comparison, name, 0, scale) for name in comparison.methods}


@pytest.mark.parametrize("name", ["travel", "levers"])
def test_every_method_stores_as_many_samples(name: str) -> None:
    stored = {}
    for method, config in configs_of(import_module(name).COMPARISON).items():
        kept = config.mine.keep_fraction if config.mine.keep == "top" else 1
        stored[method] = config.run.rounds * config.mine.climbs * kept
    stored.pop("plain KD", None)
    assert set(stored.values()) == {9}


def test_share_is_the_recipe_with_one_thing_changed_at_a_time(travel: Any) -> None:
    share = configs_of(travel.COMPARISON)["bpkd share"]
    assert share.mine.opponent == "fresh" and share.data.eval == "data/test-*.parquet"
    together = {"start": {"start", "start_options"}, "ball": {"ball", "radius"}, "climbs": {"climbs", "keep"}}
    for name, config in configs_of(import_module("levers").COMPARISON).items():
        changed = {key for key, value in config.mine.model_dump().items() if value != getattr(share.mine, key)}
        alone = [keys for keys in together.values() if changed <= keys]
        assert alone or len(changed) <= 1, name
        assert config.data.eval == "work/validation.parquet"  # settings are not chosen on the test split


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
