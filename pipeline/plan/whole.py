"""From a pilot to the whole run, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pipeline.datasets.dataset import row_format
from pipeline.datasets.pairs import SCANNED, SCANNED_BYTES
from pipeline.plan.costs import Sharded, StagePlan, Training
from pipeline.plan.pilot import EVALUATED, GALLERY, MINED, OPPONENT, TRAINED, Evaluation, Pilot, StageRun
from pipeline.plan.watch import Track
from pipeline.shards.limits import sample_bytes
from pipeline.shards.rows import RowFormat
from pipeline.stages.export import window_samples
from pipeline.work.training import batch_plan, segment_steps
from schemas.config import Config
from schemas.dataset import RowsSpec
from schemas.manifest import Manifest

_KEY_BYTES = 16
"""Peak bytes per sample of the source, whose keys cache compares."""
_COPIES = 6
"""How often a decoded sample of a shard is in memory at most, in its various forms."""
_ENCODED_COPIES = 3
"""How often a sample of the window that export shuffles is."""


@dataclass(frozen=True)
class Whole:
    """The run that a pilot stands for.

    Attributes:
        config: its config.
        source: its samples.
        pilot: what was measured.
        workers: for how many the seconds are worked out.
    """

    config: Config
    source: int
    pilot: Pilot
    workers: tuple[int, ...]

    def cache(self, run: StageRun, opening: float) -> StagePlan:
        """Of `run`, the cache of the most samples; `opening` are the seconds that it takes to open the whole source."""
        cost = self._sharded(run.tracks["cache"], self.config.data.shard_size)
        fixed = max(run.fixed, opening)
        return StagePlan(
            "cache",
            self.usable,
            steps=0,
            bytes=round(self.usable * _per_sample(self.pilot.logits)),
            memory=run.memory + self._shard_memory + self.source * _KEY_BYTES,
            device_memory=run.device_memory,
            seconds={count: fixed + cost.seconds(self.source, count) for count in self.workers},
        )

    def mine(self) -> StagePlan:
        run, rounds, made = self.pilot.runs["mine"], self.config.run.rounds, self.pilot.auxiliary
        assert made is not None
        cost = self._sharded(run.tracks[MINED], self.config.data.shard_size)
        training = self._training(run.tracks[OPPONENT], self.pilot.logits.samples)
        trained = [
            self._trained(training, self.usable, number * self.mined, number, rounds + 1) for number in range(rounds)
        ]
        fixed = run.fixed + sum(seconds for _, seconds in trained)
        climbs = self.usable * self.config.mine.climbs
        last = self.usable + (rounds - 1) * self.mined
        window = self._window_memory(last, self.pilot.logits.samples)
        return StagePlan(
            "mine",
            rounds * self.mined,
            steps=sum(steps for steps, _ in trained),
            bytes=round(rounds * (self.mined * _per_sample(made) + _bytes(self.pilot.student))),
            memory=run.memory + max(self._shard_memory, window),
            device_memory=run.device_memory,
            seconds={count: fixed + rounds * cost.seconds(climbs, count) for count in self.workers},
        )

    def export(self) -> StagePlan:
        run, own = self.pilot.runs["export"], self._own
        made, mined = self.pilot.dataset, self.config.run.rounds * self.mined
        per_own = per_mined = _per_sample(made)
        if (alone := self.pilot.mined_only) is not None:
            per_mined = _per_sample(alone)
            per_own = (_sample_bytes(made) - _sample_bytes(alone)) / max(made.samples - alone.samples, 1)
        window = window_samples(self._rows)
        cost = self._sharded(run.tracks["export"], window)
        grown = min(window, own + mined) - min(window, made.samples)
        return StagePlan(
            "export",
            own + mined,
            steps=0,
            bytes=round(own * per_own + mined * per_mined),
            memory=run.memory + round(_ENCODED_COPIES * grown * _per_sample(made)),
            device_memory=None,
            seconds={count: run.fixed + cost.seconds(own + mined, count) for count in self.workers},
        )

    def train(self) -> StagePlan:
        run, mined = self.pilot.runs["train"], self.config.run.rounds * self.mined
        training = self._training(run.tracks[TRAINED], self.pilot.dataset.samples)
        last = self.config.run.rounds if self.config.train.init == "continue" else 0
        steps, seconds = self._trained(training, self._own, mined, last, last + 1)
        return StagePlan(
            "train",
            self._own + mined,
            steps=steps,
            bytes=_bytes(self.pilot.student),
            memory=run.memory + self._window_memory(self._own + mined, self.pilot.dataset.samples),
            device_memory=run.device_memory,
            seconds=dict.fromkeys(self.workers, run.fixed + seconds),
        )

    def evaluate(self, found: Evaluation) -> StagePlan:
        """Every held-out sample is asked about, and the data set is looked through for examples."""
        run, samples = found.run, found.held_out
        seconds = found.fixed + samples / max(run.tracks[EVALUATED].rate(after=1), 1e-9)
        if (looked := run.tracks.get(GALLERY)) and looked.marks:
            each = _per_sample(self.pilot.dataset)
            most = min(SCANNED, SCANNED_BYTES / max(each, 1), self._own + self.config.run.rounds * self.mined)
            seconds += looked.seconds * most / max(looked.marks[-1][1], 1)
        beside = _bytes(found.made) - _sample_bytes(found.made)
        return StagePlan(
            "evaluate",
            samples,
            steps=0,
            bytes=round(samples * _per_sample(found.made) + beside),
            memory=run.memory,
            device_memory=run.device_memory,
            seconds=dict.fromkeys(self.workers, seconds),
        )

    @cached_property
    def usable(self) -> int:
        """Samples of the source that can be read."""
        return round(self.source * self.pilot.logits.samples / self.pilot.size.samples)

    @cached_property
    def mined(self) -> int:
        """Auxiliary samples of a round."""
        made = self.pilot.auxiliary
        return 0 if made is None else round(self.usable * made.samples / max(self.pilot.logits.samples, 1))

    @property
    def _own(self) -> int:
        """Samples of the source in the data set."""
        return self.usable if self.config.export.include_source else 0

    @cached_property
    def _rows(self) -> RowFormat:
        return row_format(RowsSpec(**self.pilot.dataset.details["rows"]))

    @cached_property
    def _capacity(self) -> int:
        """Samples that a training holds in memory."""
        return max(1, self.config.train.memory_mb * 2**20 // sample_bytes(self._rows))

    def _sharded(self, track: Track, shard: int) -> Sharded:
        measured = max(min(self.pilot.workers, len(track.marks)), 1)
        rate = track.rate(after=measured)
        if not track.marks:
            return Sharded(0.0, measured, shard, 0.0)
        reached, done = track.marks[measured - 1]
        return Sharded(rate, measured, shard, begin=max(reached - done / max(rate, 1e-9), 0.0))

    def _training(self, track: Track, samples: int) -> Training:
        """From a training of the pilot on so many samples, whose first steps are slower."""
        step = 1 / max(track.rate(after=max(len(track.marks) // 4, 1)), 1e-9)
        load = max(track.marks[0][0] - step, 0.0) / max(samples, 1) if track.marks else 0.0
        return Training(step, load, self._capacity)

    def _trained(self, training: Training, own: int, mined: int, number: int, count: int) -> tuple[int, float]:
        """(steps, seconds) of segment `number` of `count` on so many samples."""
        epoch = batch_plan(self.config).count(own, mined)
        steps = segment_steps(self.config, epoch, number, count)
        return steps, training.seconds(own + mined, steps, epoch)

    @property
    def _shard_memory(self) -> int:
        """What a shard of the run takes more than one of the pilot."""
        return _COPIES * sample_bytes(self._rows) * (self.config.data.shard_size - self.pilot.size.shard)

    def _window_memory(self, samples: int, measured: int) -> int:
        """What a training on so many samples holds more than that of the pilot."""
        return sample_bytes(self._rows) * (min(samples, self._capacity) - min(measured, self._capacity))


def _sample_bytes(manifest: Manifest) -> int:
    return sum(file.bytes for file in manifest.files if file.samples)


def _per_sample(manifest: Manifest) -> float:
    return _sample_bytes(manifest) / max(manifest.samples, 1)


def _bytes(manifest: Manifest) -> int:
    return sum(file.bytes for file in manifest.files)
