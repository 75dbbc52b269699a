"""The stages of a run in their order. Prefect is not needed to know it, nor to follow it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline import layout
from pipeline.artifacts.artifact import read_manifest
from pipeline.finite import unpack_figures
from pipeline.layout import FIGURES
from pipeline.progress import Progress
from pipeline.runs import record_config, recorded_config
from pipeline.storage import Folder
from pipeline.work.launch import rank
from schemas.config import Config
from schemas.manifest import Manifest

if TYPE_CHECKING:  # brings torch with it
    from pipeline.runners import Runner

Call = Callable[[str], Any]
"""Performs the stage of that name and returns its result."""

IN_SHARDS = ("cache", "mine", "export")
"""Stages whose work is done shard by shard, by a runner."""


UP_TO_DATE = "up to date: nothing to do"
"""What is said of a run that was complete before."""


@dataclass
class Outcome:
    """What a run has made.

    Attributes:
        url: of the run.
        artifacts: (URL, manifest), in the order in which they were made.
        evaluation: figures of the student on the held-out data, None where there is none.
    """

    url: str
    artifacts: list[tuple[str, Manifest]] = field(default_factory=list)
    evaluation: dict[str, float] | None = None


def follow(config: Config, call: Call) -> Outcome:
    """Go through the stages of a run.

    Args:
        config: the run; there is something to evaluate on where `data.eval` is set.
        call: performs one stage.
    """
    run = config.output
    outcome = Outcome(run)
    outcome.artifacts.append((layout.teacher_logits(run), call("cache")))
    for number, manifest in enumerate(call("mine"), 1):
        outcome.artifacts.append((layout.auxiliary(run, number), manifest))
    outcome.artifacts.append((layout.dataset(run), call("export")))
    outcome.artifacts.append((layout.student(run), call("train")))
    if config.data.eval is not None:
        outcome.evaluation = call("evaluate")
    return outcome


def perform(name: str, config: Config, *, progress: Progress, runner: Runner | None = None, **inputs: Any) -> Any:
    """Call the stage `name`, which is imported only now as it brings torch with it.

    A stage that made something has recorded the config; one that was killed just before that has not. The last one of
    a version's run makes it the latest.

    Args:
        name: of the stage.
        config: the run.
        progress: where to report.
        runner: makes the shards; where it is None the stage makes one of its own.
        inputs: the stage's other keyword arguments.
    """
    stage = getattr(import_module(f"pipeline.stages.{name}"), name)
    if runner is not None and name in IN_SHARDS:
        inputs["runner"] = runner
    result = stage(config, progress=progress, **inputs)
    if runner is not None and name == IN_SHARDS[-1]:
        runner.close()  # so that its workers' devices are free for the training
    if rank() == 0:
        if name != "evaluate" and "output" not in inputs and not recorded_config(config.output):
            record_config(config)
        import_module("pipeline.versions").publish(config)
    return result


def finished(config: Config) -> Outcome:
    """What a complete run has made; that it was made from what the config names is for the caller to know."""
    run = config.output

    def read(url: str) -> Manifest:
        return read_manifest(url, None)

    made: dict[str, Callable[[], Any]] = {
        "cache": lambda: read(layout.teacher_logits(run)),
        "mine": lambda: [read(layout.auxiliary(run, number)) for number in range(1, config.run.rounds + 1)],
        "export": lambda: read(layout.dataset(run)),
        "train": lambda: read(layout.student(run)),
        "evaluate": lambda: unpack_figures(Folder(layout.evaluation(run)).read(FIGURES)),
    }
    outcome = follow(config, lambda name: made[name]())
    import_module("pipeline.versions").publish(config)
    return outcome
