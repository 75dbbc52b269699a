"""Cache: the teacher's outputs for every source sample, by key."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from pipeline import layout
from pipeline.artifacts.artifact import Artifact
from pipeline.artifacts.units import File, Made, Unit
from pipeline.logits import Codec
from pipeline.models import AnyModel, freeze, pick_device
from pipeline.progress import Progress, Silent
from pipeline.runners.base import Job, Runner, using
from pipeline.runners.making import make_units
from pipeline.runs import record_config
from pipeline.seeds import torch_generator
from pipeline.shards.parquet import table_to_parquet
from pipeline.shards.parts import shard_name
from pipeline.sources import Block, Samples, open_samples
from pipeline.work.expected import Expected, expect
from pipeline.work.numerics import computing
from pipeline.work.precision import bf16_speed, settled
from pipeline.work.read_next import ReadNext
from pipeline.work.retry import retry_source
from pipeline.work.reuse import cached_by_base
from pipeline.work.setup import (
    autocast,
    blank_inputs,
    build_codec,
    cache_fingerprint,
    check_choices,
    check_labels,
    leave_device,
    open_pair,
    open_teacher,
    predict,
    prepared,
)
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import FailedSample, Manifest, ShardReport


@computing()
def cache(
    config: Config,
    *,
    output: str | None = None,
    restart: bool = False,
    retry_failed: bool = False,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> Manifest:
    """Run the teacher once over the source and store its logits, one Parquet file per chunk of the source.

    Args:
        config: the run.
        output: URL of the artifact, by default the run's `teacher-logits`.
        restart: throw away what is there.
        retry_failed: try samples again that failed before; their files may have been mended since.
        progress: where to report.
        runner: makes the shards; by default the config's, for this stage alone.

    Returns:
        The manifest; its details have `width` (logits per sample) and, for arrays, the observed range per feature.

    Raises:
        UserError: source or models are wrong, or what is there was made from something else.
    """
    progress = progress or Silent()
    check_choices(config)
    device = pick_device(config.run.device)
    samples = open_samples(config)
    teacher, student, width = open_pair(config, samples, device)
    url = output or layout.teacher_logits(config.output)
    config = settled(config, url, progress, _trial(config, samples, [teacher, student]), restart=restart)
    artifact = Artifact(
        url,
        "teacher-logits",
        cache_fingerprint(config, samples, teacher),
        restart=restart,
        retry=retry_source(samples) if retry_failed else None,
        run=config.output,
        say=progress.say,
    )
    with artifact:
        if artifact.manifest is not None:
            return artifact.manifest
        samples.check_keys()
        work = _Teacher(config, samples, teacher, width, device)
        units = [Unit(shard_name(chunk.index), len(chunk)) for chunk in samples.chunks]
        job = Job(
            "cache",
            work.label,
            _Opener(config, expect(samples, teacher=artifact.fingerprint["teacher"])),
            artifact.target(),
        )
        if (donor := cached_by_base(config, artifact.fingerprint)) is not None:
            taken = donor.copy_into(artifact, lambda *_: _observed(donor.manifest))
            progress.say(f"cache: {taken:,} of {len(units):,} shards taken over from {config.run.base}")
        with using(runner, config) as making, progress.task("cache", samples.size) as task:
            if making.elsewhere:
                leave_device(teacher)
            reports = make_units(artifact, units, job, making, task, say=progress.say)
        if not any(file.samples for report in reports for file in report.files):
            reason = next(failure.reason for report in reports for failure in report.failures)
            raise UserError(f"no usable sample in the source; the first failed: {reason}")
        manifest = artifact.finish([unit.name for unit in units], {"width": width, **_range(reports)})
    if output is None:
        record_config(config)
    return manifest


def _trial(config: Config, samples: Samples, models: list[AnyModel]) -> Callable[[], float] | None:
    """How much faster bf16 is; None for text, of which climbs are in fp32 unless that is said."""
    inputs = blank_inputs(samples.kind, samples.shape, models[0].device)
    if not isinstance(inputs, torch.Tensor):
        return None
    return lambda: bf16_speed(config, [models[0], freeze(copy.deepcopy(models[1]))], inputs)


@dataclass(frozen=True)
class _Opener:
    """The teacher and the source in another process."""

    config: Config
    expected: Expected

    def open(self, device: torch.device) -> Callable[[int], Made]:
        samples = open_samples(self.config)
        teacher, width = open_teacher(self.config, samples, device)
        self.expected.require(samples, teacher=teacher)
        return _Teacher(self.config, samples, teacher, width, device).label


@dataclass(frozen=True)
class _Teacher:
    """Labels chunks of the source."""

    config: Config
    samples: Samples
    teacher: AnyModel
    width: int
    device: torch.device

    @cached_property
    def _fast_teacher(self) -> AnyModel:
        return prepared(self.config, self.teacher, self.samples.kind, self.samples.shape)

    @cached_property
    def _blocks(self) -> ReadNext[Block]:
        chunks = self.samples.chunks
        return ReadNext(lambda index: self.samples.read(chunks[index]), len(chunks))

    @cached_property
    def codec(self) -> Codec:
        return build_codec(self.config, self.width)

    def label(self, index: int) -> Made:
        kind, reading = self.samples.kind, self._blocks.begin(index)
        teacher, block = self._fast_teacher, reading()  # for the first one the teacher is prepared meanwhile
        check_labels(block, self.width)
        logits = torch.zeros(0, self.width)
        if block.keys:
            with autocast(self.config, self.device):
                logits = predict(teacher, kind, block.stored, self.config.cache.batch_size, self.device)
        finite = logits.isfinite().all(dim=1).numpy()
        kept = np.flatnonzero(finite)
        keys = pa.array([block.keys[number] for number in kept], pa.string())
        generator = torch_generator(self.config.run.seed, "logits", 0, index)
        stored = self.codec.encode(self.codec.compress(logits[torch.from_numpy(kept)], generator))
        table = pa.table({"key": keys, "logits": stored})
        file = File(
            shard_name(index),
            table_to_parquet(table),
            samples=len(kept),
            source=len(kept),
            labelled=_labelled(block.labels[kept]),
        )
        details = kind.observe(block.stored[kept]) if len(kept) else {}
        failures = [
            FailedSample(key=key, stage="cache", reason="the teacher's output is not finite")
            for key, fine in zip(block.keys, finite, strict=True)
            if not fine
        ]
        return Made([file], [*block.failures, *failures], details)


def _observed(manifest: Manifest) -> dict[str, Any]:
    """The range per feature that a finished cache has observed."""
    return {name: manifest.details[name] for name in ("low", "high") if name in manifest.details}


def _labelled(labels: np.ndarray[Any, Any]) -> int:
    """How many of N samples have a label: int64 (N,) with -1 unknown, or float32 (N, T) with NaN unknown."""
    known = labels >= 0 if labels.dtype == np.int64 else ~np.isnan(labels).all(axis=1)
    return int(known.sum())


def _range(reports: list[ShardReport]) -> dict[str, Any]:
    """Observed range per feature over all units; empty for kinds that do not observe one."""
    lows = [report.details["low"] for report in reports if "low" in report.details]
    highs = [report.details["high"] for report in reports if "high" in report.details]
    if not lows:
        return {}
    return {"low": np.min(lows, axis=0).tolist(), "high": np.max(highs, axis=0).tolist()}
