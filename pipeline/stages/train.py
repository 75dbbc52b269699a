"""Train: a student from an exported data set alone, wherever it came from. No teacher, no source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pipeline import layout
from pipeline.artifacts.artifact import Artifact, read_manifest
from pipeline.artifacts.identity import identity, require_same
from pipeline.datasets import Dataset, open_dataset, own_code
from pipeline.distill.loop import Segment
from pipeline.distill.pool import Pool
from pipeline.distill.ranks import Ranks
from pipeline.models import AnyModel, TextModel, pick_device
from pipeline.progress import Progress, Silent
from pipeline.runs import record_config
from pipeline.seeds import derive_seed
from pipeline.shards.pool import PartsPool
from pipeline.storage import Folder
from pipeline.storage.cache import disk_cache
from pipeline.work.accelerated import join
from pipeline.work.embeddings import embeddings_sha256
from pipeline.work.numerics import computing
from pipeline.work.setup import check_choices, freezes_embeddings, identify_model, open_student
from pipeline.work.training import load_trained, segment, train_segment, training_settings
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import MANIFEST, Manifest


@computing()
def train(
    config: Config,
    *,
    dataset: str | None = None,
    output: str | None = None,
    restart: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Train the student; under `init = "continue"` from the last opponent, under "fresh" from new weights.

    In processes that torchrun or `accelerate launch` has started together, all of them call it, and share every batch.
    Rank 0 alone makes the artifact.

    Args:
        config: `[student]`, `[train]` and `[run]` are used.
        dataset: URL of an exported data set, by default the run's own.
        output: URL of the artifact, by default the run's `student`.
        restart: throw away what is there.
        progress: where rank 0 reports.

    Returns:
        The manifest of the student: model.safetensors, optimizer.safetensors, metrics.parquet.

    Raises:
        UserError: the data set or the opponent is missing, or what is there was made from something else.
    """
    with join(config.run.device) as ranks:
        progress = progress if progress and ranks.index == 0 else Silent()
        return _train(config, dataset, output, restart, progress, ranks)


@dataclass(frozen=True)
class _Opened:
    """What a training needs.

    Attributes:
        previous: URL of the opponent to go on from, None for new weights.
        number, count: of this segment of the budget, and of all.
        fingerprint: of all that decides the result.
    """

    data: Dataset
    student: AnyModel
    device: torch.device
    number: int
    count: int
    previous: str | None
    fingerprint: dict[str, Any]


def _train(
    config: Config, dataset: str | None, output: str | None, restart: bool, progress: Progress, ranks: Ranks
) -> Manifest:
    opened = ranks.every(lambda: _open(config, dataset, ranks.device))
    same = ranks.first(lambda: opened.fingerprint)
    ranks.every(lambda: _require_equal(same, opened.fingerprint))
    place = output or layout.student(config.output)
    artifact = Artifact(place, "student", opened.fingerprint, restart=restart, run=config.output, say=progress.say)
    with ranks.held(artifact):
        finished = ranks.first(lambda: artifact.manifest)
        if finished is not None:
            return finished
        pool, part = ranks.every(lambda: _prepare(config, opened))
        manifest = train_segment(
            artifact,
            opened.student,
            pool,
            config,
            opened.data.rows,
            part,
            labelled=sum(part.labelled for part in opened.data.parts),
            title="train",
            curve="train",
            progress=progress,
            previous=Folder(opened.previous) if opened.previous else None,
            ranks=ranks,
        )
    if output is None:
        ranks.first(lambda: record_config(config))
    return manifest


def _open(config: Config, dataset: str | None, device: torch.device | None) -> _Opened:
    check_choices(config)
    device = device or pick_device(config.run.device)
    url = dataset or layout.dataset(config.output)
    made_by = None if dataset else "export CONFIG"
    data = open_dataset(url, trusted=own_code(config), made_by=made_by, copies=disk_cache(config.run.disk_cache_bytes))
    rows = data.rows
    student = open_student(config, rows.kind_, rows.shape, rows.width, device)
    _check_embeddings(data, student, config)
    number, count, previous = _place(config)
    fingerprint: dict[str, Any] = {
        "dataset": identity(data.manifest)["files"],
        "student": identify_model(config, "student", student),
        "train": {**training_settings(config), "init": config.train.init},
        "rounds": count - 1,
        "seed": config.run.seed,
    }
    if previous is not None:
        fingerprint["opponent"] = _opponent(previous, fingerprint)
    return _Opened(data, student, device, number, count, previous, fingerprint)


def _require_equal(first: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse ranks that would train something else than rank 0, as where each machine has files of its own."""
    differing = [name for name in first if first[name] != own.get(name)]
    if differing:
        names = " and ".join(differing)
        raise UserError(f"{names}: not what rank 0 has; all ranks need the same config, data set and student")


def _prepare(config: Config, opened: _Opened) -> tuple[Pool, Segment]:
    """The samples, and the stretch of the budget that is spent on them."""
    if opened.previous is not None:
        load_trained(opened.previous, opened.student)
    seed = derive_seed(config.run.seed, "train")
    parts, rows = opened.data.parts, opened.data.rows
    pool = PartsPool(parts, rows, memory_mb=config.train.memory_mb, seed=seed, device=opened.device)
    return pool, segment(config, pool, opened.number, opened.count, seed)


def _check_embeddings(data: Dataset, student: AnyModel, config: Config) -> None:
    """Refuse a student whose token embeddings are not those that the data set's perturbations are added to."""
    made_for = data.details.embeddings
    if made_for is None or not isinstance(student, TextModel):
        return
    if embeddings_sha256(student) != made_for.student:
        raise UserError(
            f"{data.url}: its perturbations belong to a student with other token embeddings; take [student] from the "
            'run that made it, or a data set of mine.output = "token", which any student can train on'
        )
    if not freezes_embeddings(config):
        raise UserError(f"{data.url}: perturbed embeddings need train.freeze_embeddings = true")
    # What is perturbed has been tokenised, and is not cut to what the model takes.
    longest = data.rows.shape[1]
    if longest > config.data.max_length:
        raise UserError(
            f"{data.url}: samples of up to {longest} tokens, data.max_length = {config.data.max_length}; "
            f"set data.max_length = {longest}"
        )


def _opponent(url: str, fingerprint: Mapping[str, Any]) -> str:
    """Hash of the opponent's files, if it is an earlier part of the same training."""
    manifest = read_manifest(url, "mine CONFIG")
    shared = ("student", "train", "rounds", "seed")
    wanted = {name: fingerprint[name] for name in shared}
    wanted["train"] = {name: value for name, value in wanted["train"].items() if name != "init"}
    remedy = 'run `bpkd mine CONFIG --restart`, or set train.init = "fresh"'
    require_same(url, {name: manifest.fingerprint[name] for name in shared}, wanted, remedy)
    files: str = identity(manifest)["files"]
    return files


def _place(config: Config) -> tuple[int, int, str | None]:
    """(number of this segment, number of segments, URL of the opponent to go on from)."""
    rounds = config.run.rounds
    if config.train.init == "fresh" or rounds == 0:
        return 0, 1, None
    previous = layout.opponent(config.output, rounds)
    if not Folder(previous).exists(MANIFEST):
        raise UserError(
            f'train.init = "continue" needs {previous}, made by `bpkd mine CONFIG`; '
            'for a data set from elsewhere set train.init = "fresh"'
        )
    return rounds, rounds + 1, previous
