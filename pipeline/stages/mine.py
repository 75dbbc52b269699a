"""Mine: the min-max loop. Each round trains the opponent, then climbs against it from every source sample."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch

from pipeline import layout
from pipeline.mining import Bounds
from pipeline.models import Wrapped, freeze, pick_device
from pipeline.progress import Progress, Silent
from pipeline.seeds import derive_seed
from pipeline.shards.artifact import Artifact, read_manifest
from pipeline.shards.parquet import table_to_parquet
from pipeline.shards.parts import Part, auxiliary_parts, shard_name, source_parts
from pipeline.shards.pool import PartsPool
from pipeline.shards.rows import RowFormat
from pipeline.sources import open_samples
from pipeline.storage import Folder
from pipeline.work.climbing import Miner
from pipeline.work.setup import describe_model, open_student, open_teacher, row_format
from pipeline.work.training import load_trained, segment, train_segment
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import Manifest


def mine(config: Config, *, restart: bool = False, progress: Progress | None = None) -> list[Manifest]:
    """Run `run.rounds` rounds; round r leaves `round-r/opponent` and `round-r/auxiliary` in the run's directory.

    Args:
        config: the run; its `teacher-logits` must be complete.
        restart: throw away all rounds.
        progress: where to report.

    Returns:
        The manifests of the auxiliary samples, one per round.

    Raises:
        UserError: the cache is missing or belongs to something else, or what is there was made from something else.
    """
    loop = _open(config, restart, progress or Silent())
    manifests: list[Manifest] = []
    for round_ in range(1, config.run.rounds + 1):
        opponent = loop.opponent(round_)
        manifest = loop.auxiliary(round_, opponent)
        loop.parts += auxiliary_parts(layout.auxiliary(config.output, round_), manifest, loop.rows)
        manifests.append(manifest)
    return manifests


@dataclass
class _Loop:
    """One run of the loop; `parts` grows by each round's auxiliary samples."""

    config: Config
    restart: bool
    progress: Progress
    device: torch.device
    teacher: Wrapped
    student: Wrapped
    rows: RowFormat
    bounds: Bounds
    source: list[Part]
    parts: list[Part]
    fingerprint: dict[str, Any]

    def opponent(self, round_: int) -> Manifest:
        """The min step: train the student as it is so far on everything so far; leaves it in `student`."""
        config, url = self.config, layout.opponent(self.config.output, round_)
        artifact = Artifact(url, "opponent", {**self.fingerprint, "round": round_}, restart=self.restart)
        manifest = artifact.manifest
        if manifest is None:
            seed = derive_seed(config.run.seed, "opponent", round_)
            pool = PartsPool(self.parts, self.rows, memory_mb=config.train.memory_mb, seed=seed, device=self.device)
            manifest = train_segment(
                artifact,
                self.student.requires_grad_(True),
                pool,
                config,
                segment(config, pool, round_ - 1, config.run.rounds + 1, seed),
                title=f"round {round_} train",
                progress=self.progress,
                previous=Folder(layout.opponent(config.output, round_ - 1)) if round_ > 1 else None,
            )
        load_trained(url, self.student)
        return manifest

    def auxiliary(self, round_: int, opponent: Manifest) -> Manifest:
        """The max step: climb from every source sample against the frozen opponent."""
        config = self.config
        weights = {file.path: file.sha256 for file in opponent.files}["model.safetensors"]
        fingerprint = {**self.fingerprint, "round": round_, "opponent": weights}
        artifact = Artifact(layout.auxiliary(config.output, round_), "auxiliary", fingerprint, restart=self.restart)
        if artifact.manifest is not None:
            return artifact.manifest
        miner = Miner(config, self.teacher, freeze(self.student), self.rows, self.bounds, round_, self.device)
        units = [shard_name(index) for index in range(len(self.source))]
        total = sum(part.samples for part in self.source) * config.mine.climbs
        with self.progress.task(f"round {round_} mine", total) as task:
            for index, (unit, part) in enumerate(zip(units, self.source, strict=True)):
                if not artifact.done(unit):
                    self._mine_part(artifact, unit, miner, part, index)
                details = artifact.report(unit).details
                task.advance(part.samples * config.mine.climbs, **_gap_figure(details))
        dropped = sum(artifact.report(unit).details["dropped"] for unit in units)
        gaps = _gap_statistics(artifact.folder, units)
        return artifact.finish(units, {"round": round_, "dropped": dropped, "gap": gaps})

    def _mine_part(self, artifact: Artifact, unit: str, miner: Miner, part: Part, index: int) -> None:
        mined = miner.mine(part.rows(), index)
        entry = artifact.write(unit, table_to_parquet(mined.table), samples=mined.table.num_rows)
        mean = mined.table["gap_after"].to_numpy().mean().item() if mined.table.num_rows else None
        artifact.commit(unit, [entry], mined.failures, {"dropped": mined.dropped, "gap": mean})


def _open(config: Config, restart: bool, progress: Progress) -> _Loop:
    device = pick_device(config.run.device)
    cache_url = layout.teacher_logits(config.output)
    cache = read_manifest(cache_url, "cache CONFIG")
    samples = open_samples(config)
    teacher, width = open_teacher(config, samples, device)
    current = {"source": samples.fingerprint(), "teacher": describe_model(config.teacher, teacher)}
    for name, value in current.items():
        if cache.fingerprint[name] != value:
            raise UserError(f"{cache_url} was made with another {name}; run `bpkd cache CONFIG --restart` first")
    student = open_student(config, samples.kind, samples.shape, width, device)
    rows = row_format(config, samples, width)
    source = source_parts(samples, cache_url, cache, rows)
    bounds = _bounds(config, samples.kind.natural_bounds, cache, device)
    fingerprint = {
        "cache": cache.fingerprint,
        "student": describe_model(config.student, student),
        "mine": config.mine.model_dump(mode="json"),
        "train": config.train.model_dump(mode="json", exclude={"init", "checkpoint_every"}),
        "precision": config.run.precision,
        "rounds": config.run.rounds,
        "seed": config.run.seed,
    }
    return _Loop(config, restart, progress, device, teacher, student, rows, bounds, source, list(source), fingerprint)


def _bounds(config: Config, natural: tuple[float, float] | None, cache: Manifest, device: torch.device) -> Bounds:
    mine = config.mine
    low: float | torch.Tensor
    high: float | torch.Tensor
    if mine.bounds is not None:
        low, high = mine.bounds
    elif natural is not None:
        low, high = natural
    else:
        low = torch.tensor(cache.details["low"], device=device)
        high = torch.tensor(cache.details["high"], device=device)
    return Bounds(low, high, mine.ball, mine.radius)


def _gap_figure(details: dict[str, Any]) -> dict[str, float]:
    return {} if details["gap"] is None else {"gap": details["gap"]}


def _gap_statistics(folder: Folder, names: list[str]) -> dict[str, dict[str, float]]:
    """Mean and quartiles of the gap at the start of the climbs and on the stored samples."""
    columns = ["gap_before", "gap_after"]
    gaps = pl.concat([pl.read_parquet(io.BytesIO(folder.read(name)), columns=columns) for name in names])
    if gaps.is_empty():
        return {}
    return {
        name: {
            "mean": float(gaps[name].cast(pl.Float64).mean()),  # type: ignore[arg-type]
            **{f"q{share:.0%}".rstrip("%"): float(gaps[name].quantile(share) or 0) for share in (0.25, 0.5, 0.75)},
        }
        for name in columns
    }
