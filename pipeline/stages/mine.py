"""Mine: the min-max loop. Each round trains the opponent, then climbs against it from every source sample."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pipeline import layout
from pipeline.artifacts.artifact import Artifact, held, recorded_fingerprint
from pipeline.artifacts.failures import Retry, retry_failed_units
from pipeline.artifacts.identity import identity
from pipeline.artifacts.units import Unit
from pipeline.datasets import rows_spec
from pipeline.models import AnyModel, TextModel, frozen, pick_device
from pipeline.progress import Progress, Silent
from pipeline.runners.base import Job, Runner, using
from pipeline.runners.making import make_units
from pipeline.runs import discard_rounds, record_config
from pipeline.seeds import derive_seed
from pipeline.shards.parts import Part, auxiliary_parts, shard_name
from pipeline.shards.pool import PartsPool
from pipeline.sources import open_samples
from pipeline.storage import Folder
from pipeline.storage.cache import disk_cache
from pipeline.work.curves import draw_gaps
from pipeline.work.embeddings import Embeddings, open_embeddings
from pipeline.work.expected import Expected, expect
from pipeline.work.gaps import gap_statistics
from pipeline.work.mining import MineOpener, MiningSetup, Round, set_up
from pipeline.work.numerics import computing
from pipeline.work.precision import settled
from pipeline.work.reuse import Donor, Rounds, mined_by_base
from pipeline.work.setup import check_choices, identify_model, leave_device, open_pair, renew_student, require_cache
from pipeline.work.training import MODEL, load_trained, segment, train_segment, training_settings
from schemas.config import Config
from schemas.manifest import MANIFEST, FileEntry, Manifest, ShardReport


@computing()
def mine(
    config: Config,
    *,
    teacher_logits: str | None = None,
    restart: bool = False,
    retry_failed: bool = False,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> list[Manifest]:
    """Run `run.rounds` rounds; round r leaves `round-r/opponent` and `round-r/auxiliary` in the run's directory.

    Args:
        config: the run.
        teacher_logits: URL of the cache, by default the run's; it must be complete.
        restart: throw away all rounds first.
        retry_failed: climb again where a climb failed before. Where one then succeeds, the rounds that follow, whose
            opponents have not seen it, are thrown away and mined anew.
        progress: where to report.
        runner: makes the shards; by default the config's, for this stage alone.

    Returns:
        The manifests of the auxiliary samples, one per round.

    Raises:
        UserError: the cache is missing or belongs to something else, or what is there was made from something else.
    """
    progress = progress or Silent()
    check_choices(config)
    cache_url = teacher_logits or layout.teacher_logits(config.output)
    config = settled(config, cache_url, progress)
    manifests: list[Manifest] = []
    with using(runner, config) as making, held(Folder(config.output), progress.say):
        loop = _open(config, cache_url, restart, progress, making)
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
        setup: for the climbs; its student is as it is so far.
        cache_url, expected: for workers elsewhere, that set up the same.
        parts: all samples so far; grows by each round's auxiliary samples.
        fingerprint: of everything so far; grows likewise.
        base: the rounds of a run over a part of the source, which are taken over.
    """

    config: Config
    progress: Progress
    runner: Runner
    setup: MiningSetup
    cache_url: str
    expected: Expected
    parts: list[Part]
    fingerprint: dict[str, Any]
    base: Rounds | None

    def outdated(self, round_: int) -> bool:
        """Whether a round's opponent was trained on what earlier rounds had before failed climbs were tried again."""
        found = recorded_fingerprint(layout.opponent(self.config.output, round_))
        wanted = json.loads(json.dumps(self.fingerprint))
        return found is not None and found != wanted == {**found, "earlier": wanted["earlier"]}

    def opponent(self, round_: int) -> Manifest:
        """The min step: train the student as it is so far, or one with new weights, on everything so far."""
        config, url = self.config, layout.opponent(self.config.output, round_)
        with Artifact(url, "opponent", self.fingerprint, run=config.output, say=self.progress.say) as artifact:
            manifest = artifact.manifest
            if manifest is None and self.base is not None:
                manifest = self._take_opponent(artifact, self.base.opponents[round_ - 1], round_)
            elif manifest is None:
                if round_ == 1 and config.run.base is not None:
                    self.progress.say(
                        f"mine: all rounds are mined anew, as those of {config.run.base} are not finished, or differ "
                        "in more than the source"
                    )
                seed = derive_seed(config.run.seed, "opponent", round_)
                setup, memory, fresh = self.setup, config.train.memory_mb, config.mine.opponent == "fresh"
                pool = PartsPool(self.parts, setup.rows, memory_mb=memory, seed=seed, device=setup.device)
                part = segment(config, pool, round_ - 1, config.run.rounds + 1, seed)
                if fresh:
                    renew_student(config, setup.student, seed, setup.rows, setup.cache.details["width"])
                    part = replace(part, begin=0.0, end=1.0)  # of a schedule of its own
                manifest = train_segment(
                    artifact,
                    setup.student,
                    pool,
                    config,
                    setup.rows,
                    part,
                    labelled=sum(part.labelled for part in self.parts),
                    title=f"round {round_} train",
                    curve=f"round-{round_:02d}",
                    progress=self.progress,
                    previous=Folder(layout.opponent(config.output, round_ - 1)) if round_ > 1 and not fresh else None,
                )
        load_trained(url, self.setup.student)
        return manifest

    def _take_opponent(self, artifact: Artifact, donor: Donor, round_: int) -> Manifest:
        files = [artifact.take(Folder(donor.url), file, file.path) for file in donor.manifest.files]
        artifact.commit("segment", files)
        self.progress.say(f"round {round_} train: taken over from {self.config.run.base}")
        return artifact.finish(["segment"], donor.manifest.details)

    def auxiliary(self, round_: int, opponent: Manifest, retry: Retry | None) -> Manifest:
        """The max step: climb from every source sample against the frozen opponent."""
        config = self.config
        weights = {file.path: file.sha256 for file in opponent.files}[MODEL]
        fingerprint = {**self.fingerprint, "opponent": weights}
        url = layout.auxiliary(config.output, round_)
        with Artifact(url, "auxiliary", fingerprint, retry=retry, run=config.output, say=self.progress.say) as artifact:
            return artifact.manifest or self._mine(artifact, round_, weights)

    def _mine(self, artifact: Artifact, round_: int, opponent: str) -> Manifest:
        config, setup, title = self.config, self.setup, f"round {round_} mine"
        units = [Unit(shard_name(i), part.samples * config.mine.climbs) for i, part in enumerate(setup.source)]
        opener = MineOpener(config, self.cache_url, round_, opponent, self.expected)
        job = Job(title, Round(setup, round_), opener, artifact.target())
        if self.base is not None:
            taken = self.base.auxiliary[round_ - 1].copy_into(artifact, partial(_taken, units))
            self.progress.say(f"{title}: {taken:,} of {len(units):,} shards taken over from {config.run.base}")
        total = sum(unit.samples for unit in units)
        with frozen(setup.student), self.progress.task(title, total) as task:
            reports = make_units(artifact, units, job, self.runner, task, _gap, self.progress.say)
        names = [unit.name for unit in units]
        dropped = sum(report.details["dropped"] for report in reports)
        gaps = gap_statistics(artifact.folder, names)
        rows = rows_spec(setup.rows).model_dump(mode="json")
        manifest = artifact.finish(names, {"round": round_, "dropped": dropped, "gap": gaps, "rows": rows})
        draw_gaps(config, round_, gaps)
        record_config(config)
        return manifest

    def add(self, round_: int, manifest: Manifest) -> None:
        """Let the rounds to come train on this round's samples."""
        url = layout.auxiliary(self.config.output, round_)
        self.parts += auxiliary_parts(url, manifest, self.setup.rows, disk_cache(self.config.run.disk_cache_bytes))
        earlier = [*self.fingerprint["earlier"], identity(manifest)["files"]]
        self.fingerprint = {**self.fingerprint, "earlier": earlier}


def _open(config: Config, cache_url: str, restart: bool, progress: Progress, runner: Runner) -> _Loop:
    device = pick_device(config.run.device)
    samples = open_samples(config)
    teacher, student, _ = open_pair(config, samples, device)
    cache = require_cache(cache_url, config, samples, teacher)
    embeddings = _embeddings(config, teacher, student, restart, progress)
    fingerprint: dict[str, Any] = {
        "cache": identity(cache),
        "student": identify_model(config, "student", student),
        "mine": config.mine.model_dump(mode="json"),
        "train": training_settings(config),
        "precision": config.run.precision,
        "rounds": config.run.rounds,
        "seed": config.run.seed,
        "earlier": [],
        **({"embeddings": identity(embeddings.manifest)} if embeddings else {}),
    }
    base = _base(config, fingerprint, restart)
    expected = expect(samples, student=fingerprint["student"], teacher=cache.fingerprint["teacher"])
    setup = set_up(config, samples, teacher, student, embeddings.map if embeddings else None, cache_url, cache, device)
    if runner.elsewhere:
        leave_device(setup.teacher)
    return _Loop(config, progress, runner, setup, cache_url, expected, list(setup.source), fingerprint, base)


def _base(config: Config, fingerprint: dict[str, Any], restart: bool) -> Rounds | None:
    """The rounds to take over, which the fingerprint then names; None where there is nothing to take over any more."""
    begun = None if restart else recorded_fingerprint(layout.opponent(config.output, 1))
    last = Folder(layout.auxiliary(config.output, max(config.run.rounds, 1)))
    if begun is not None and ("base" not in begun or last.exists(MANIFEST)):
        # Begun without one, or all is taken over: another base, or one that has gone, changes nothing.
        fingerprint |= {"base": begun["base"]} if "base" in begun else {}
        return None
    base = mined_by_base(config, fingerprint)
    if base is not None:
        fingerprint["base"] = base.identity
    return base


def _embeddings(
    config: Config, teacher: AnyModel, student: AnyModel, restart: bool, progress: Progress
) -> Embeddings | None:
    """The map between the two models' embeddings, for text."""
    if not (isinstance(teacher, TextModel) and isinstance(student, TextModel)) or not config.run.rounds:
        return None
    return open_embeddings(layout.embeddings(config.output), teacher, student, progress, restart=restart)


def _taken(units: list[Unit], own: int, entry: FileEntry, failed: int) -> dict[str, Any]:
    """Details of a shard that was taken over. Its mean gap, which is for the progress only, would need reading it."""
    return {"dropped": units[own].samples - entry.samples - failed, "gap": None}


def _gap(report: ShardReport) -> dict[str, float]:
    return {} if report.details["gap"] is None else {"gap": report.details["gap"]}
