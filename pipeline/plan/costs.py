"""From what a pilot took to what the whole run takes: arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

WORKERS = (1, 4, 16)
"""For how many a plan is worked out, unless others are named."""
SECONDS = 30.0
"""Of measuring, about, unless it is said."""


@dataclass(frozen=True)
class Sharded:
    """What a stage costs that is done shard by shard.

    Attributes:
        rate: samples per second of all the workers that were measured.
        measured: how many those were.
        shard: samples in a shard of the whole run.
        begin: seconds until they work.
    """

    rate: float
    measured: int
    shard: int
    begin: float

    def seconds(self, samples: int, workers: int) -> float:
        """With so many workers, each as fast as those that were measured; the last shards do not keep all busy."""
        each = self.rate / self.measured
        if not samples or not each:
            return 0.0
        waves = math.ceil(math.ceil(samples / self.shard) / workers)
        longest = min(waves * self.shard, samples) if workers > 1 else samples
        return self.begin + max(samples / (each * workers), longest / each)


@dataclass(frozen=True)
class Training:
    """What a training costs.

    Attributes:
        step: seconds of an optimiser step.
        load: seconds per sample that is read into memory.
        capacity: samples that are held in memory at once.
    """

    step: float
    load: float
    capacity: int

    def seconds(self, samples: int, steps: int, epoch: int) -> float:
        """Of `steps` steps on `samples` samples, `epoch` steps being one pass over them.

        Samples that do not fit are read anew in every pass, half as many at a time, behind the steps as far as these
        take as long.
        """
        fits = samples <= self.capacity
        passes = 1.0 if fits else steps / max(epoch, 1)
        first = self.load * (samples if fits else self.capacity // 2)
        return first + max(steps * self.step, self.load * samples * passes - first)


@dataclass(frozen=True)
class StagePlan:
    """What one stage of the whole run takes.

    Attributes:
        stage: its name.
        samples: that it makes or reads; of a training, that its data set has.
        steps: of its optimiser; 0 where it has none.
        bytes: of what it leaves in the run's directory.
        memory: peak bytes of the largest process.
        device_memory: peak bytes that torch allocates on a GPU; None without one.
        seconds: by the number of workers.
    """

    stage: str
    samples: int
    steps: int
    bytes: int
    memory: int
    device_memory: int | None
    seconds: Mapping[int, float]


@dataclass(frozen=True)
class Plan:
    """What a run takes.

    Attributes:
        stages: in their order.
        device: that the pilot ran on, for people.
        workers: how many it had.
        pilot_samples: how many of the source's samples it used.
        source_samples: how many there are.
        took: seconds of the pilot.
        notes: what the figures leave out.
    """

    stages: list[StagePlan]
    device: str
    workers: int
    pilot_samples: int
    source_samples: int
    took: float
    notes: list[str]

    def seconds(self, workers: int) -> float:
        return sum(stage.seconds[workers] for stage in self.stages)

    @property
    def bytes(self) -> int:
        return sum(stage.bytes for stage in self.stages)
