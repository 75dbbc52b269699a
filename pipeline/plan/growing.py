"""Pilots of growing size, until one takes long enough to be measured well."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count

from pipeline.plan.pilot import (
    EVALUATED,
    MINED,
    TRAINED,
    Evaluation,
    Pilot,
    Size,
    StageRun,
    pilot_config,
    run_cache,
    run_evaluation,
    run_pilot,
)
from pipeline.progress import Progress
from schemas.config import Config

_FIRST = 64
"""Samples of the first pilot, which is cold and may be slow."""
_SHARDS = 4
"""In a pilot for each worker: the first one of each does not count."""
_MOST_SHARDS = 16
"""That a pilot has in all, at most, where it has shards of the run's own size."""
_STEPS = (8, 300)
"""Of a pilot's training, at least and at most."""
_GROWS = 16
"""From one pilot to the next, at most: a cold one says little."""


class Growing:
    """Runs pilots in directories of their own.

    Args:
        config: of the whole run.
        folder: an empty directory on this machine.
        samples: of the source.
        workers: whether to take the config's runner.
        progress: told what is measured.
    """

    def __init__(self, config: Config, folder: str, samples: int, workers: bool, progress: Progress) -> None:
        self._config, self._samples, self._workers, self._progress = config, samples, workers, progress
        self._folders = (f"{folder}/{number}" for number in count())

    def pilot(self, seconds: float) -> Pilot:
        """A pilot of all stages, in which climbs take about half of `seconds` and each training a sixth."""
        size = self._size(_FIRST, _STEPS[0], 1)
        while True:
            self._progress.say(f"plan: all stages on {size.samples:,} samples")
            pilot = run_pilot(self._config_of(size), size)
            climbing = pilot.runs["mine" if self._config.run.rounds else "cache"]
            grown = self._size(
                _more(size.samples, _work(climbing, (MINED, "cache")), seconds / 2),
                _more(size.steps, _work(pilot.runs["train"], (TRAINED,)), seconds / 6),
                pilot.workers,
            )
            if grown.samples < 2 * size.samples and grown.steps < 2 * size.steps:
                return pilot
            size = replace(grown, samples=max(grown.samples, size.samples), steps=max(grown.steps, size.steps))

    def cache(self, pilot: Pilot, seconds: float) -> StageRun:
        """The cache of more samples where that of the pilot took less than `seconds`, as climbs take far longer."""
        size, run = pilot.size, pilot.runs["cache"]
        while True:
            grown = self._size(_more(size.samples, _work(run, ("cache",)), seconds), size.steps, pilot.workers)
            if grown.samples < 2 * size.samples:
                return run
            size = grown
            self._progress.say(f"plan: cache on {size.samples:,} samples")
            run = run_cache(self._config_of(size))

    def evaluation(self, pilot: Pilot, seconds: float) -> Evaluation:
        """Evaluate on the first held-out samples, on more where these took less than `seconds`."""
        samples, fixed = pilot.size.samples, 0.0
        while True:
            self._progress.say(f"plan: evaluate on {samples:,} samples")
            found = run_evaluation(pilot, samples)
            fixed = max(fixed, found.fixed)  # of the first one, as a run has only one, which imports what it needs
            grown = min(_more(found.samples, _work(found.run, (EVALUATED,)), seconds), found.held_out)
            if grown < 2 * found.samples:
                return replace(found, fixed=fixed)
            samples = grown

    def _config_of(self, size: Size) -> Config:
        return pilot_config(self._config, next(self._folders), size, self._workers)

    def _size(self, samples: int, steps: int, workers: int) -> Size:
        """As near to it as can be: whole shards of the run's own size if there are enough, else smaller ones."""
        least, own = _SHARDS * workers, self._config.data.shard_size
        samples = min(samples, self._samples)
        if samples >= least * own:
            samples = min(samples // own, max(_MOST_SHARDS, least)) * own
        shard = min(own, max(math.ceil(samples / least), 1))
        return Size(samples, shard, min(max(steps, _STEPS[0]), _STEPS[1]))


def _work(run: StageRun, titles: tuple[str, ...]) -> float:
    return sum(run.tracks[title].seconds for title in titles if title in run.tracks)


def _more(done: int, took: float, seconds: float) -> int:
    return int(done * min(seconds / max(took, 1e-3), _GROWS))
