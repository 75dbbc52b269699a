"""Evaluate: the student on held-out data, against the labels and against the teacher."""

from __future__ import annotations

import json
from typing import Any

import torch

from pipeline import layout
from pipeline.artifacts.artifact import Artifact, read_manifest
from pipeline.artifacts.identity import identity, require_same
from pipeline.layout import FIGURES
from pipeline.metrics import Meter, check_metrics, make_meter
from pipeline.models import AnyModel, freeze, pick_device
from pipeline.progress import Progress, Silent
from pipeline.sources import Chunk, Samples, open_samples
from pipeline.work.numerics import computing
from pipeline.work.precision import settled
from pipeline.work.setup import (
    autocast,
    check_labels,
    identify_model,
    model_settings,
    open_student,
    open_teacher,
    predict,
)
from pipeline.work.training import load_trained
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import FailedSample


@computing()
def evaluate(
    config: Config,
    *,
    student: str | None = None,
    output: str | None = None,
    restart: bool = False,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Measure a trained student on `data.eval`.

    Args:
        config: the run; `data.eval` must be set.
        student: URL of a finished training, by default the run's `student`.
        output: URL of the artifact, by default the run's `evaluation`.
        restart: measure anew.
        progress: where to report.

    Returns:
        For classification accuracy, agreement, gap, nll and ece; for regression mse, mae, r2 and gap; and those of
        `data.metrics`. Figures that need labels are left out where there are none. `gap` is the mean squared L2
        distance of the logits.

    Raises:
        UserError: the student or the data is missing, a metric is not for the task, or what is there was made from
            something else.
    """
    progress = progress or Silent()
    if config.data.eval is None:
        raise UserError("evaluate needs held-out data: set data.eval in the config")
    check_metrics(config.data.task, config.data.metrics)
    config = settled(config, layout.teacher_logits(config.output), progress)
    device = pick_device(config.run.device)
    url = student or layout.student(config.output)
    trained = read_manifest(url, "train CONFIG")
    samples = open_samples(config, "eval")
    teacher, width = open_teacher(config, samples, device)
    model = open_student(config, samples.kind, samples.shape, width, device)
    fingerprint: dict[str, Any] = {
        "eval": samples.fingerprint(),
        "teacher": identify_model(config, "teacher", teacher),
        "student": model_settings(config, "student", model),
        "training": identity(trained)["files"],
        "precision": config.run.precision,
        "batch_size": config.cache.batch_size,
        "metrics": list(config.data.metrics),
    }
    built = {name: trained.fingerprint["student"].get(name) for name in fingerprint["student"]}
    require_same(url, built, fingerprint["student"], "the [student] of the config must be the one that was trained")
    place = output or layout.evaluation(config.output)
    with Artifact(place, "evaluation", fingerprint, restart=restart, say=progress.say) as artifact:
        if artifact.manifest is None:
            load_trained(url, model)
            figures, failures = _measure(config, samples, teacher, freeze(model), width, device, progress)
            result = artifact.write(FIGURES, json.dumps(figures, indent=1).encode(), samples=samples.size)
            artifact.commit("result", [result], failures)
            artifact.finish(["result"])
        measured: dict[str, float] = json.loads(artifact.folder.read(FIGURES))
    return measured


def _measure(
    config: Config,
    samples: Samples,
    teacher: AnyModel,
    student: AnyModel,
    width: int,
    device: torch.device,
    progress: Progress,
) -> tuple[dict[str, float], list[FailedSample]]:
    """The figures, and the samples that could not be read."""
    meter = make_meter(config.data.task, width, config.data.metrics)
    failures = []
    with progress.task("evaluate", samples.size) as task, autocast(config, device):
        for chunk in samples.chunks:
            failures += measure_chunk(config, samples, chunk, (teacher, student), meter, width)
            task.advance(len(chunk))
    figures = meter.compute()
    missing = [name for name in config.data.metrics if name not in figures]
    if missing:
        raise UserError(
            f"data.metrics: {missing[0]} needs labels, and data.eval has none, or too few; set data.columns.label"
        )
    if failures:
        count = f"{len(failures):,} of {samples.size:,} samples"
        progress.say(f"evaluate: {count} cannot be read and do not count; the first: {failures[0].reason}")
    return figures, failures


def measure_chunk(
    config: Config, samples: Samples, chunk: Chunk, models: tuple[AnyModel, AnyModel], meter: Meter, width: int
) -> list[FailedSample]:
    """Let the meter see what teacher and student make of a chunk; returns the samples that could not be read."""
    block = samples.read(chunk)
    check_labels(block, width)
    if block.keys:
        size = config.cache.batch_size
        expected, got = (predict(model, samples.kind, block.stored, size, model.device) for model in models)
        meter.update(expected, got, torch.from_numpy(block.labels))
    return block.failures
