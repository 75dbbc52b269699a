"""The command line in this process, over stages that only note how they were called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cli.main import main
from schemas.config import Config
from schemas.manifest import FileEntry, Manifest

STAGES = ["cache", "mine", "export", "train", "evaluate"]


@dataclass
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str


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
            if isinstance(self.results[name], BaseException):
                raise self.results[name]
            return self.results[name]

        return stage


def manifest(artifact: str, samples: int, failures: int = 0) -> Manifest:
    files = [FileEntry(path="a.bin", bytes=30 * samples, sha256="0" * 64, samples=samples)]
    if failures:
        files.append(FileEntry(path="failures.jsonl", bytes=1, sha256="0" * 64))
    return Manifest(
        artifact=artifact, bpkd="0.1.0", files=files, failures=failures, fingerprint={}, details={"of": artifact}
    )


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    fakes = Stages(
        {
            "cache": manifest("teacher-logits", 1200, failures=2),
            "mine": [manifest("auxiliary", 500), manifest("auxiliary", 400, failures=1)],
            "export": manifest("dataset", 2100),
            "train": manifest("student", 0),
            "evaluate": {"accuracy": 0.875, "gap": 1.25},
        }
    )
    for name in STAGES:
        module = ModuleType(f"pipeline.stages.{name}")
        setattr(module, name, fakes.function(name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return fakes


@pytest.fixture
def bpkd(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the command line."""

    def run(*arguments: str | Path) -> Said:
        code = main([str(argument) for argument in arguments])
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "c.toml"
    models = 'teacher.factory = "zoo:mlp"\nstudent.factory = "zoo:mlp"\n'
    path.write_text(f'run.output = "out"\ndata.train = "t"\ndata.eval = "e"\n{models}')
    return path
