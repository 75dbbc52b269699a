"""Evaluate: the student on held-out data, against the labels and against the teacher.

Besides the figures it keeps the answers that they come from, and what the student says of a few auxiliary samples.
"""

from __future__ import annotations

from typing import Any

import torch

from pipeline import layout
from pipeline.artifacts.artifact import Artifact, read_manifest
from pipeline.artifacts.identity import identity, require_same
from pipeline.datasets import Dataset, open_dataset, own_code
from pipeline.datasets.dataset import rows_spec
from pipeline.datasets.pairs import choose_pairs, scanned, with_answers
from pipeline.finite import pack_figures, unpack_figures
from pipeline.layout import FIGURES, GALLERY
from pipeline.metrics import check_metrics, make_meter
from pipeline.models import AnyModel, freeze, pick_device
from pipeline.progress import Progress, Silent
from pipeline.shards.answers import AnswersFormat
from pipeline.shards.parquet import table_to_parquet
from pipeline.shards.parts import shard_name
from pipeline.sources import Samples, open_samples
from pipeline.storage import Folder
from pipeline.storage.cache import disk_cache
from pipeline.verify.chain import broken_links
from pipeline.work.answering import answered
from pipeline.work.numerics import computing
from pipeline.work.precision import settled
from pipeline.work.setup import (
    autocast,
    identify_model,
    model_settings,
    open_student,
    open_teacher,
    predict,
)
from pipeline.work.training import load_trained
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import MANIFEST, FailedSample, FileEntry, Manifest


@computing()
def evaluate(
    config: Config,
    *,
    student: str | None = None,
    output: str | None = None,
    samples: Samples | None = None,
    restart: bool = False,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Measure a trained student on `data.eval`.

    Args:
        config: the run; `data.eval` must be set.
        student: URL of a finished training, by default the run's `student`.
        output: URL of the artifact, by default the run's `evaluation`.
        samples: to measure it on, by default all of `data.eval`.
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
    samples = samples or open_samples(config, "eval")
    teacher, width = open_teacher(config, samples, device)
    model = open_student(config, samples.kind, samples.shape, width, device)
    data = _trained_on(config, trained)
    fingerprint: dict[str, Any] = {
        "eval": samples.fingerprint(),
        "teacher": identify_model(config, "teacher", teacher),
        "student": model_settings(config, "student", model),
        "training": identity(trained)["files"],
        **({"gallery": trained.fingerprint["dataset"]} if data else {}),
        "precision": config.run.precision,
        "batch_size": config.cache.batch_size,
        "metrics": list(config.data.metrics),
    }
    built = {name: trained.fingerprint["student"].get(name) for name in fingerprint["student"]}
    require_same(url, built, fingerprint["student"], "the [student] of the config must be the one that was trained")
    if student is None:
        _require_newest(config.output, trained)
    place = output or layout.evaluation(config.output)
    with Artifact(place, "evaluation", fingerprint, restart=restart, run=config.output, say=progress.say) as artifact:
        if artifact.manifest is None:
            load_trained(url, model)
            work = _Measuring(config, artifact, freeze(model))
            details: dict[str, Any] = {"task": config.data.task, "width": width, "classes": samples.class_names}
            try:
                figures, failures = work.held_out(samples, teacher, width, progress)
            except UserError:
                artifact.abandon()  # an evaluation is not taken up half way, and the mistake is to be mended
                raise
            files = [*work.files, artifact.write(FIGURES, pack_figures(figures))]
            if data is not None and (gallery := work.gallery(data, progress)) is not None:
                files.append(gallery)
                details["gallery"] = rows_spec(data.rows).model_dump(mode="json")
            artifact.commit("result", files, failures)
            artifact.finish(["result"], details)
        return unpack_figures(artifact.folder.read(FIGURES))


def _require_newest(run: str, trained: Manifest) -> None:
    """Refuse a student whose data set, or whose samples, have been made anew since; what is not there is not missed.

    The samples of one round stand for those of all, which are mined anew together.
    """
    places = ["teacher-logits", layout.place_in(1, "auxiliary"), "dataset"]
    there = [place for place in places if Folder(f"{run}/{place}").exists(MANIFEST)]
    manifests = {f"{place}/": read_manifest(f"{run}/{place}", None) for place in there} | {"student/": trained}
    for place, what in broken_links(manifests):
        command = layout.MADE_BY[manifests[place].artifact]
        raise UserError(
            f"{run}/{place.rstrip('/')} {what}; make it, and what follows, anew with "
            f"`bpkd {command} CONFIG --restart`, or name another student"
        )


def _trained_on(config: Config, trained: Manifest) -> Dataset | None:
    """The run's data set, where it is the one that the student was trained on."""
    url = layout.dataset(config.output)
    if not Folder(url).exists(MANIFEST):
        return None
    dataset = open_dataset(url, trusted=own_code(config), copies=disk_cache(config.run.disk_cache_bytes))
    return dataset if identity(dataset.manifest)["files"] == trained.fingerprint.get("dataset") else None


class _Measuring:
    """The student at work.

    Attributes:
        files: with the answers so far; only those of one chunk are in memory.
    """

    def __init__(self, config: Config, artifact: Artifact, student: AnyModel) -> None:
        self._config, self._artifact, self._student = config, artifact, student
        self.files: list[FileEntry] = []

    def held_out(
        self, samples: Samples, teacher: AnyModel, width: int, progress: Progress
    ) -> tuple[dict[str, float], list[FailedSample]]:
        """The figures, and the samples that could not be read."""
        config, failures = self._config, list[FailedSample]()
        meter = make_meter(config.data.task, width, config.data.metrics)
        answers = AnswersFormat(config.data.task, width)
        asked, gap = 0, 0.0
        with progress.task("evaluate", samples.size) as task:
            for chunk, block, outputs in answered(config, samples, (teacher, self._student), width):
                failures += block.failures
                told: dict[str, float] = {}
                if outputs:
                    expected, got = outputs
                    meter.update(expected, got, torch.from_numpy(block.labels))
                    data = answers.write(answers.table(block.keys, block.labels, expected, got))
                    self.files.append(self._artifact.write(shard_name(chunk.index), data, samples=len(block.keys)))
                    asked += len(block.keys)
                    gap += float((expected - got).square().sum())
                    told = {"gap": gap / asked}
                task.advance(len(chunk), **told)
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

    def gallery(self, data: Dataset, progress: Progress) -> FileEntry | None:
        """A few of the samples that the student was trained on, with its logits; None where none was mined."""
        known = sum(part.samples for part in scanned(data))
        with progress.task("gallery", known) as task:
            table = choose_pairs(data)
            task.advance(known)
        if not table.num_rows:
            return None
        student, size = self._student, self._config.cache.batch_size
        with autocast(self._config, student.device):
            logits = predict(student, data.rows.kind_, data.rows.decode(table).stored, size, student.device)
        return self._artifact.write(GALLERY, table_to_parquet(with_answers(table, logits.numpy())))
