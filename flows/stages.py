"""The stages of a run in their order. Prefect is not needed to know it, nor to follow it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from pipeline import layout
from pipeline.progress import Progress
from pipeline.runs import record_config, recorded_config
from schemas.config import Config
from schemas.manifest import Manifest

Call = Callable[[str], Any]
"""Performs the stage of that name and returns its result."""


@dataclass
class Outcome:
    """What a run has made.

    Attributes:
        artifacts: (URL, manifest), in the order in which they were made.
        evaluation: figures of the student on the held-out data, None where there is none.
    """

    artifacts: list[tuple[str, Manifest]] = field(default_factory=list)
    evaluation: dict[str, float] | None = None


def follow(config: Config, call: Call) -> Outcome:
    """Go through the stages of a run.

    Args:
        config: the run; there is something to evaluate on where `data.eval` is set.
        call: performs one stage.
    """
    run, outcome = config.output, Outcome()
    outcome.artifacts.append((layout.teacher_logits(run), call("cache")))
    for number, manifest in enumerate(call("mine"), 1):
        outcome.artifacts.append((layout.auxiliary(run, number), manifest))
    outcome.artifacts.append((layout.dataset(run), call("export")))
    outcome.artifacts.append((layout.student(run), call("train")))
    if config.data.eval is not None:
        outcome.evaluation = call("evaluate")
    return outcome


def perform(name: str, config: Config, *, progress: Progress, **inputs: Any) -> Any:
    """Call the stage `name`, which is imported only now as it brings torch with it.

    A stage that made something has recorded the config; one that was killed just before that has not.
    """
    stage = getattr(import_module(f"pipeline.stages.{name}"), name)
    result = stage(config, progress=progress, **inputs)
    if name != "evaluate" and "output" not in inputs and not recorded_config(config.output):
        record_config(config)
    return result
