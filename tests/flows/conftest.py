"""A run whose stages only note how they were called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from schemas.config import Config, parse_config
from schemas.manifest import Manifest

STAGES = ["cache", "mine", "export", "train", "evaluate"]


def manifest(artifact: str) -> Manifest:
    return Manifest(artifact=artifact, bpkd="0.1.0", files=[], fingerprint={})


@dataclass
class Stages:
    """Stand-ins for the stages.

    Attributes:
        calls: (stage, config, keyword arguments) of every call.
        results: what a stage returns, or the exception that it raises; may be changed.
    """

    results: dict[str, Any]
    calls: list[tuple[str, Config, dict[str, Any]]] = field(default_factory=list)

    def function(self, name: str) -> Callable[..., Any]:
        def stage(config: Config, **inputs: Any) -> Any:
            self.calls.append((name, config, inputs))
            inputs["progress"].say(f"in {name}")
            if isinstance(self.results[name], BaseException):
                raise self.results[name]
            return self.results[name]

        return stage


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    fakes = Stages(
        {
            "cache": manifest("teacher-logits"),
            "mine": [manifest("auxiliary"), manifest("auxiliary")],
            "export": manifest("dataset"),
            "train": manifest("student"),
            "evaluate": {"accuracy": 0.5},
        }
    )
    for name in STAGES:
        module = ModuleType(f"pipeline.stages.{name}")
        setattr(module, name, fakes.function(name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return fakes


@pytest.fixture
def config(tmp_path: Path) -> Config:
    values = {
        "run": {"output": "out", "name": "small"},
        "data": {"train": "t", "eval": "e"},
        "teacher": {"factory": "zoo:mlp"},
        "student": {"factory": "zoo:mlp"},
    }
    return parse_config(values, root=tmp_path)
