"""Mine: the min-max loop. Each round trains the opponent, then climbs against it from every source sample."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import torch

from pipeline import layout
from pipeline.artifacts.artifact import Artifact, held, recorded_fingerprint
from pipeline.artifacts.failures import Retry, retry_failed_units
from pipeline.artifacts.identity import identity
from pipeline.artifacts.units import File, Made, Unit, make_units
from pipeline.datasets import rows_spec
from pipeline.models import AnyModel, TextModel, frozen, pick_device
from pipeline.progress import Progress, Silent
from pipeline.runs import discard_rounds, record_config
from pipeline.seeds import derive_seed
from pipeline.shards.parquet import table_to_parquet
from pipeline.shards.parts import Part, auxiliary_parts, shard_name, source_parts
from pipeline.shards.pool import PartsPool
from pipeline.shards.rows import RowFormat
from pipeline.sources import open_samples
from pipeline.storage import Folder
from pipeline.work.climbers.base import Climber, make_climber
from pipeline.work.climbing import Miner
from pipeline.work.embeddings import open_embeddings
from pipeline.work.numerics import reproducible
from pipeline.work.setup import check_choices, identify_model, open_pair, require_cache, row_format
from pipeline.work.training import MODEL, load_trained, segment, train_segment, training_settings
from schemas.config import Config
from schemas.manifest import Manifest, ShardReport
from schemas.registry import CLIMBERS


@reproducible()
def mine(
    config: Config,
    *,
    teacher_logits: str | None = None,
    restart: bool = False,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> list[Manifest]:
    """Run `run.rounds` rounds; round r leaves `round-r/opponent` and `round-r/auxiliary` in the run's directory.

    Args:
        config: the run.
        teacher_logits: URL of the cache, by default the run's; it must be complete.
        restart: throw away all rounds first.
        retry_failed: climb again where a climb failed before. Where one then succeeds, the rounds that follow, whose
            opponents have not seen it, are thrown away and mined anew.
        progress: where to report.

    Returns:
        The manifests of the auxiliary samples, one per round.

    Raises:
        UserError: the cache is missing or belongs to something else, or what is there was made from something else.
    """
    progress = progress or Silent()
    check_choices(config)
    manifests: list[Manifest] = []
    with held(Folder(config.output), progress.say):
        loop = _open(config, teacher_logits or layout.teacher_logits(config.output), restart, progress)
        if restart:
            discard_rounds(config.output)
        for round_ in range(1, config.run.rounds + 1):
            if retry_failed and loop.outdated(round_):
                progress.say(f"round {round_} and later: made anew, as an earlier round has changed")
                discard_rounds(config.output, after=round_ - 1)
            opponent = loop.opponent(round_)
            manifest = loop.auxiliary(round_, opponent, retry_failed_units if retry_failed else None)
            loop.add(round_, manifest)
            manifests.append(manifest)
    return manifests


@dataclass
class _Loop:
    """One run of the loop.

    Attributes:
        student: as it is so far.
        parts: all samples so far; grows by each round's auxiliary samples.
        fingerprint: of everything so far; grows likewise.
    """

    config: Config
    progress: Progress
    device: torch.device
    teacher: AnyModel
    student: AnyModel
    rows: RowFormat
    climber: Climber
    source: list[Part]
    parts: list[Part]
    fingerprint: dict[str, Any]

    def outdated(self, round_: int) -> bool:
        """Whether a round's opponent was trained on what earlier rounds had before failed climbs were tried again."""
        found = recorded_fingerprint(layout.opponent(self.config.output, round_))
        wanted = json.loads(json.dumps(self.fingerprint))
        return found is not None and found != wanted == {**found, "earlier": wanted["earlier"]}

    def opponent(self, round_: int) -> Manifest:
        """The min step: train the student as it is so far on everything so far."""
        config, url = self.config, layout.opponent(self.config.output, round_)
        with Artifact(url, "opponent", self.fingerprint, say=self.progress.say) as artifact:
            manifest = artifact.manifest
            if manifest is None:
                seed = derive_seed(config.run.seed, "opponent", round_)
                pool = PartsPool(self.parts, self.rows, memory_mb=config.train.memory_mb, seed=seed, device=self.device)
                manifest = train_segment(
                    artifact,
                    self.student,
                    pool,
                    config,
                    self.rows,
                    segment(config, pool, round_ - 1, config.run.rounds + 1, seed),
                    labelled=sum(part.labelled for part in self.parts),
                    title=f"round {round_} train",
                    progress=self.progress,
                    previous=Folder(layout.opponent(config.output, round_ - 1)) if round_ > 1 else None,
                )
        load_trained(url, self.student)
        return manifest

    def auxiliary(self, round_: int, opponent: Manifest, retry: Retry | None) -> Manifest:
        """The max step: climb from every source sample against the frozen opponent."""
        config = self.config
        weights = {file.path: file.sha256 for file in opponent.files}[MODEL]
        fingerprint = {**self.fingerprint, "opponent": weights}
        url = layout.auxiliary(config.output, round_)
        with Artifact(url, "auxiliary", fingerprint, retry=retry, say=self.progress.say) as artifact:
            return artifact.manifest or self._mine(artifact, round_)

    def _mine(self, artifact: Artifact, round_: int) -> Manifest:
        config = self.config
        miner = Miner(config, self.teacher, self.student, self.rows, self.climber, round_, self.device)
        units = [Unit(shard_name(i), part.samples * config.mine.climbs) for i, part in enumerate(self.source)]

        def work(index: int) -> Made:
            mined = miner.mine(self.source[index].rows(), index)
            gaps = mined.table["gap_after"].to_numpy()
            file = File(shard_name(index), table_to_parquet(mined.table), samples=mined.table.num_rows)
            return Made(
                [file], mined.failures, {"dropped": mined.dropped, "gap": float(gaps.mean()) if len(gaps) else None}
            )

        total = sum(unit.samples for unit in units)
        with frozen(self.student), self.progress.task(f"round {round_} mine", total) as task:
            reports = make_units(artifact, units, work, task, _gap, workers=config.run.workers)
        names = [unit.name for unit in units]
        dropped = sum(report.details["dropped"] for report in reports)
        gaps = _gap_statistics(artifact.folder, names)
        rows = rows_spec(self.rows).model_dump(mode="json")
        manifest = artifact.finish(names, {"round": round_, "dropped": dropped, "gap": gaps, "rows": rows})
        record_config(config)
        return manifest

    def add(self, round_: int, manifest: Manifest) -> None:
        """Let the rounds to come train on this round's samples."""
        self.parts += auxiliary_parts(layout.auxiliary(self.config.output, round_), manifest, self.rows)
        earlier = [*self.fingerprint["earlier"], identity(manifest)["files"]]
        self.fingerprint = {**self.fingerprint, "earlier": earlier}


def _open(config: Config, cache_url: str, restart: bool, progress: Progress) -> _Loop:
    device = pick_device(config.run.device)
    samples = open_samples(config)
    teacher, student, _ = open_pair(config, samples, device)
    cache = require_cache(cache_url, config, samples, teacher)
    teacher, embeddings = _pair(config, teacher, student, restart, progress)
    rows = CLIMBERS.load(str(config.mine.output)).row_format(row_format(config, samples, cache), config, student)
    source = source_parts(samples, cache_url, cache, rows)
    climber = make_climber(config, teacher, student, rows, cache, device)
    fingerprint: dict[str, Any] = {
        "cache": identity(cache),
        "student": identify_model(config, "student", student),
        "mine": config.mine.model_dump(mode="json"),
        "train": training_settings(config),
        "precision": config.run.precision,
        "rounds": config.run.rounds,
        "seed": config.run.seed,
        "earlier": [],
        **embeddings,
    }
    return _Loop(config, progress, device, teacher, student, rows, climber, source, list(source), fingerprint)


def _pair(
    config: Config, teacher: AnyModel, student: AnyModel, restart: bool, progress: Progress
) -> tuple[AnyModel, dict[str, Any]]:
    """The teacher as it takes the student's shifts, and what a fingerprint says of the map; for text."""
    if not (isinstance(teacher, TextModel) and isinstance(student, TextModel)) or not config.run.rounds:
        return teacher, {}
    found = open_embeddings(layout.embeddings(config.output), teacher, student, progress, restart=restart)
    teacher = teacher.carrying(found.map.matrix, config.mine.carry, student.embeddings)
    return teacher, {"embeddings": identity(found.manifest)}


def _gap(report: ShardReport) -> dict[str, float]:
    return {} if report.details["gap"] is None else {"gap": report.details["gap"]}


def _gap_statistics(folder: Folder, names: list[str]) -> dict[str, dict[str, float]]:
    """Mean and quartiles of the gap at the start of the climbs and on the stored samples; 8 bytes a sample."""
    columns = ["gap_before", "gap_after"]
    tables = []
    for name in names:
        with folder.open(name) as file:
            table = pq.ParquetFile(file, pre_buffer=False).read(columns=columns, use_threads=False)
            tables.append(pl.DataFrame(pl.from_arrow(table)))
    gaps = pl.concat(tables).cast(pl.Float64)
    if gaps.is_empty():
        return {}
    return {
        name: {
            "mean": float(gaps[name].mean()),  # type: ignore[arg-type]
            **{f"q{share:.0%}".rstrip("%"): float(gaps[name].quantile(share) or 0) for share in (0.25, 0.5, 0.75)},
        }
        for name in columns
    }
