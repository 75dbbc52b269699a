"""Cache: the teacher's outputs for every source sample, by key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from pipeline import layout
from pipeline.models import Wrapped, pick_device
from pipeline.progress import Progress, Silent
from pipeline.shards.artifact import Artifact
from pipeline.shards.parquet import table_to_parquet
from pipeline.shards.parts import shard_name
from pipeline.sources import Block, Samples, open_samples
from pipeline.work.setup import autocast, check_labels, describe_model, open_student, open_teacher, predict
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import FailedSample, Manifest
from schemas.registry import CODECS


def cache(
    config: Config, *, output: str | None = None, restart: bool = False, progress: Progress | None = None
) -> Manifest:
    """Run the teacher once over the source and store its logits, one Parquet file per chunk of the source.

    Args:
        config: the run.
        output: URL of the artifact, by default the run's `teacher-logits`.
        restart: throw away what is there.
        progress: where to report.

    Returns:
        The manifest; its details have `width` (logits per sample) and, for arrays, the observed range per feature.

    Raises:
        UserError: source or models are wrong, or what is there was made from something else.
    """
    progress = progress or Silent()
    device = pick_device(config.run.device)
    samples = open_samples(config)
    teacher, width = open_teacher(config, samples, device)
    open_student(config, samples.kind, samples.shape, width, device)
    fingerprint = {
        "source": samples.fingerprint(),
        "teacher": describe_model(config.teacher, teacher),
        "codec": config.cache.codec,
        "precision": config.run.precision,
        "batch_size": config.cache.batch_size,
    }
    artifact = Artifact(output or layout.teacher_logits(config.output), "teacher-logits", fingerprint, restart=restart)
    if artifact.manifest is not None:
        return artifact.manifest
    samples.check_keys()
    with progress.task("cache", samples.size) as task:
        for chunk in samples.chunks:
            unit = shard_name(chunk.index)
            if not artifact.done(unit):
                _cache_block(artifact, unit, samples.read(chunk), samples, teacher, width, config, device)
            task.advance(len(chunk))
    units = [shard_name(chunk.index) for chunk in samples.chunks]
    reports = [artifact.report(unit) for unit in units]
    if not any(file.samples for report in reports for file in report.files):
        first = reports[0].failures[0] if reports[0].failures else None
        raise UserError(f"no usable sample in the source; the first failed: {first.reason if first else 'none read'}")
    return artifact.finish(units, {"width": width, **_range([report.details for report in reports])})


def _cache_block(
    artifact: Artifact,
    unit: str,
    block: Block,
    samples: Samples,
    teacher: Wrapped,
    width: int,
    config: Config,
    device: torch.device,
) -> None:
    check_labels(block, width)
    logits = torch.zeros(0, width)
    if block.keys:
        with autocast(config, device):
            logits = predict(teacher, samples.kind, block.stored, config.cache.batch_size, device)
    finite = logits.isfinite().all(dim=1).numpy()
    failures = [*block.failures, *_not_finite(block.keys, finite)]
    kept = np.flatnonzero(finite)
    codec = CODECS.build(config.cache.codec)
    column = codec.encode(logits[torch.from_numpy(kept)])
    table = pa.table({"key": pa.array([block.keys[index] for index in kept], pa.string()), "logits": column})
    entry = artifact.write(unit, table_to_parquet(table), samples=len(kept), source=len(kept))
    details = {}
    if samples.kind.natural_bounds is None and len(kept):
        used = block.stored[kept]
        details = {"low": used.min(axis=0).tolist(), "high": used.max(axis=0).tolist()}
    artifact.commit(unit, [entry], failures, details)


def _not_finite(keys: list[str], finite: np.ndarray[Any, Any]) -> list[FailedSample]:
    return [
        FailedSample(key=key, stage="cache", reason="the teacher's output is not finite")
        for key, fine in zip(keys, finite, strict=True)
        if not fine
    ]


def _range(details: list[dict[str, Any]]) -> dict[str, Any]:
    """Observed range per feature over all units; empty for kinds that have a natural one."""
    lows = [detail["low"] for detail in details if "low" in detail]
    highs = [detail["high"] for detail in details if "high" in detail]
    if not lows:
        return {}
    return {"low": np.min(lows, axis=0).tolist(), "high": np.max(highs, axis=0).tolist()}
