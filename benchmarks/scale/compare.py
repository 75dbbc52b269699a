"""The prediction beside a real run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.runners.base import make_runner
from scale.constants import Constants
from scale.runs import STEPS, config_of, make_source, timed, unit_sizes
from scale.simulate import Crew, shared_cores, stage_seconds

ROUNDS = 1


@dataclass(frozen=True)
class Compared:
    """One stage with so many workers, in seconds."""

    workers: int
    stage: str
    predicted: float
    measured: float


def compare(
    constants: Constants, samples: int, workers: Sequence[int], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Run cache, mine and export over so many 28x28 images with each number of workers."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make_source(folder / "source", samples)
        for count in workers:
            say(f"{samples:,} samples on {count} workers")
            config = config_of(source, folder / f"run-{count}", workers=count)
            with make_runner(config) as runner:
                measured = timed(config, runner)
            for stage, seconds in measured.items():
                units = unit_sizes(stage, config)
                found.append(Compared(count, stage, predict(constants, stage, samples, units, count), seconds))
    return [asdict(compared) for compared in found]


def predict(constants: Constants, stage: str, samples: int, units: Sequence[int], workers: int) -> float:
    """Seconds of a stage on the machine that was measured."""
    cost = constants.stages[stage]
    crew = Crew(workers, cost.begin, constants.commit, shared_cores(constants))
    training = constants.step * (STEPS // (ROUNDS + 1)) if stage == "mine" else 0.0
    return training + stage_seconds(cost, samples, units, crew)
