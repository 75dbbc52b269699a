"""Export: the data set, source and auxiliary samples shuffled together into shards that stand on their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
import torch

from pipeline import layout
from pipeline.artifacts.artifact import Artifact, read_manifest
from pipeline.artifacts.identity import identity, require_same
from pipeline.artifacts.units import File, Made, Unit
from pipeline.datasets.dataset import row_format as made_rows
from pipeline.progress import Progress, Silent
from pipeline.runners.base import Job, Runner, using
from pipeline.runners.making import make_units
from pipeline.runs import record_config
from pipeline.seeds import numpy_generator
from pipeline.shards.base import ShardFormat
from pipeline.shards.limits import MAX_DECODED, sample_bytes
from pipeline.shards.parts import FilePart, Part, auxiliary_parts, count_source, group, source_parts
from pipeline.shards.rows import RowFormat
from pipeline.sources import Samples, open_samples
from pipeline.storage.cache import disk_cache
from pipeline.work.describing import CARD, about, counted, describe, write_card
from pipeline.work.embeddings import UNIT as EMBEDDINGS
from pipeline.work.embeddings import copied
from pipeline.work.expected import Expected, expect
from pipeline.work.setup import require_cache, row_format
from schemas.config import Config
from schemas.dataset import RowsSpec
from schemas.errors import UserError
from schemas.manifest import MAX_FILES, Manifest
from schemas.registry import FORMATS

WINDOW_BYTES = 2**26
"""Decoded samples that are shuffled together in memory, at most (a larger part stands alone)."""

_OVERHEAD = 1024
"""Bytes that a sample takes in memory besides: key, path, columns, headers in a tar."""


def export(
    config: Config,
    *,
    teacher_logits: str | None = None,
    output: str | None = None,
    restart: bool = False,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> Manifest:
    """Write the shareable data set from the cached source and all rounds.

    Args:
        config: the run; the auxiliary samples of every round must be complete.
        teacher_logits: URL of the cache, by default the run's.
        output: URL of the data set, by default the run's `dataset`.
        restart: throw away what is there.
        progress: where to report.
        runner: makes the shards; by default the config's, for this stage alone.

    Returns:
        The data set's manifest; its details hold the row format, counts by origin and round, and provenance.

    Raises:
        UserError: an input is missing or does not belong to the others, or what is there was made from something else.
    """
    progress = progress or Silent()
    cache_url = teacher_logits or layout.teacher_logits(config.output)
    samples = open_samples(config)
    cache = require_cache(cache_url, config, samples)
    rounds = [_round(config, number, cache) for number in range(1, config.run.rounds + 1)]
    inputs = _gather(config, samples, cache_url, cache, rounds)
    if not sum(part.samples for part in inputs.parts):
        raise UserError(
            "nothing to export: no auxiliary samples, and export.include_source = false; set it to true, or mine with "
            "run.rounds above 0"
        )
    embeddings = _embeddings(config, inputs.rows, rounds)
    fingerprint = {
        "cache": identity(cache),
        "rounds": [identity(manifest) for manifest in rounds],
        "export": config.export.model_dump(mode="json"),
        "seed": config.run.seed,
        **({"embeddings": identity(embeddings[0])} if embeddings else {}),
        **({"about": about(config)} if about(config) else {}),
    }
    url = output or layout.dataset(config.output)
    with Artifact(url, "dataset", fingerprint, restart=restart, run=config.output, say=progress.say) as artifact:
        if artifact.manifest is not None:
            return artifact.manifest
        writer = _Writer(config, inputs.rows, inputs.parts)
        job = Job("export", writer.window, _Opener(config, cache_url, expect(samples)), artifact.target())
        with (
            using(runner, config) as making,
            progress.task("export", sum(part.samples for part in inputs.parts)) as task,
        ):
            make_units(artifact, writer.units, job, making, task, say=progress.say)
        units = [unit.name for unit in writer.units]
        if embeddings:
            # A map and a vocabulary, without which the perturbations mean nothing.
            artifact.commit(EMBEDDINGS, [artifact.write(name, data) for name, data in embeddings[1].items()])
            units.append(EMBEDDINGS)
        details = describe(config, cache, rounds, inputs.rows, inputs.own, embeddings[0] if embeddings else None)
        made = [artifact.report(unit) for unit in units]
        card = write_card(details, made, [cache, *rounds], inputs.by_round, inputs.own)
        artifact.commit(CARD, [artifact.write(name, data) for name, data in card.items()])
        manifest = artifact.finish([*units, CARD], details.model_dump(mode="json"))
    if output is None:
        record_config(config)
    return manifest


@dataclass(frozen=True)
class _Inputs:
    """All that a data set is made of: `own` samples of the source, then those of every round."""

    rows: RowFormat
    own: list[Part]
    by_round: list[list[FilePart]]

    @property
    def parts(self) -> list[Part]:
        return [*self.own, *(part for parts in self.by_round for part in parts)]


def _gather(config: Config, samples: Samples, cache_url: str, cache: Manifest, rounds: list[Manifest]) -> _Inputs:
    # Mining may store more than the source has: perturbations of text.
    rows = made_rows(RowsSpec(**rounds[0].details["rows"])) if rounds else row_format(config, samples, cache)
    copies = disk_cache(config.run.disk_cache_bytes)
    own = source_parts(samples, cache_url, cache, rows, copies) if config.export.include_source else []
    by_round = [
        auxiliary_parts(layout.auxiliary(config.output, number), manifest, rows, copies)
        for number, manifest in enumerate(rounds, 1)
    ]
    return _Inputs(rows, own, by_round)


@dataclass(frozen=True)
class _Opener:
    """The windows in another process, which reads the same manifests."""

    config: Config
    cache_url: str
    expected: Expected

    def open(self, device: torch.device) -> Callable[[int], Made]:
        samples = open_samples(self.config)
        self.expected.require(samples)
        cache = read_manifest(self.cache_url, "cache CONFIG")
        rounds = [_round(self.config, number, cache) for number in range(1, self.config.run.rounds + 1)]
        inputs = _gather(self.config, samples, self.cache_url, cache, rounds)
        return _Writer(self.config, inputs.rows, inputs.parts).window


def _round(config: Config, number: int, cache: Manifest) -> Manifest:
    """A round's auxiliary samples, if they were mined from this cache."""
    url = layout.auxiliary(config.output, number)
    manifest = read_manifest(url, "mine CONFIG")
    mined_from = manifest.fingerprint["cache"]
    require_same(
        url, {"cache": mined_from}, {"cache": identity(cache)}, "run `bpkd mine CONFIG --restart` to mine anew"
    )
    return manifest


def _embeddings(config: Config, rows: RowFormat, rounds: list[Manifest]) -> tuple[Manifest, dict[str, bytes]] | None:
    """Manifest and files of the map that the rounds were mined with, where they hold perturbed text."""
    if rows.delta is None:
        return None
    url = layout.embeddings(config.output)
    manifest, files = copied(url)
    used = {"embeddings": rounds[0].fingerprint["embeddings"]}
    require_same(url, {"embeddings": identity(manifest)}, used, "run `bpkd mine CONFIG --restart` to mine anew")
    return manifest, files


class _Writer:
    """Shuffles parts window by window and cuts every window into shards of nearly equal size.

    Attributes:
        units: one per window.
    """

    def __init__(self, config: Config, rows: RowFormat, parts: list[Part]) -> None:
        self._config, self._rows = config, rows
        self._format: ShardFormat = FORMATS.build(config.export.format)
        limit, per_shard = window_samples(rows), _shard_samples(config, parts)
        if rows.kind_.dtype == object:
            # What a text may take at most is far more than texts do take: a window of that size would cut shards short.
            per_shard = min(per_shard, MAX_DECODED // sample_bytes(rows))
            limit = max(limit, per_shard)
        self._windows = group(parts, limit, numpy_generator(config.run.seed, "export"))
        sizes = [sum(part.samples for part in window) for window in self._windows]
        self.units = [Unit(f"window-{index:05d}", size) for index, size in enumerate(sizes)]
        # Number of the first shard of every window, and of all shards.
        self._firsts = [0, *accumulate(math.ceil(size / per_shard) for size in sizes)]
        if self._firsts[-1] > MAX_FILES:
            raise UserError(
                f"{self._firsts[-1]:,} shards, a manifest lists {MAX_FILES:,} at most; set a larger data.shard_size "
                "and export.shard_size"
            )

    def window(self, index: int) -> Made:
        """The shards of one window."""
        order = numpy_generator(self._config.run.seed, "export", index).permutation(self.units[index].samples)
        table = pa.concat_tables([part.table() for part in self._windows[index]]).take(pa.array(order))
        return Made(self._shards(index, table), details=counted(table, self._rows))

    def _shards(self, index: int, table: pa.Table) -> Iterator[File]:
        first, all_ = self._firsts[index], self._firsts[-1]
        count = self._firsts[index + 1] - first
        for shard in range(count):
            start, stop = table.num_rows * shard // count, table.num_rows * (shard + 1) // count
            piece = table.slice(start, stop - start).combine_chunks()
            yield File(
                f"{self._config.export.split}-{first + shard:05d}-of-{all_:05d}.{self._format.suffix}",
                self._format.write(piece, self._rows),
                samples=piece.num_rows,
                source=count_source(piece),
                labelled=piece.num_rows - piece["label"].null_count,
            )


def window_samples(rows: RowFormat) -> int:
    """Samples that are shuffled together, at most."""
    return max(1, WINDOW_BYTES // (sample_bytes(rows) + _OVERHEAD))


def _shard_samples(config: Config, parts: list[Part]) -> int:
    """Samples per shard; a size in bytes is turned into samples by the mean size in the largest part."""
    limit = config.export.shard_bytes
    if limit is None:
        return int(config.export.shard_size)
    largest = max(parts, key=lambda part: part.samples)
    return max(1, int(limit / (largest.table().nbytes / largest.samples)))
