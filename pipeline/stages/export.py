"""Export: the data set, source and auxiliary samples shuffled together into shards that stand on their own."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pipeline import layout
from pipeline.progress import Progress, Silent
from pipeline.seeds import numpy_generator
from pipeline.shards.artifact import Artifact, read_manifest
from pipeline.shards.base import ShardFormat
from pipeline.shards.parts import Part, auxiliary_parts, group, source_parts
from pipeline.shards.rows import SOURCE, RowFormat
from pipeline.sources import open_samples
from pipeline.work.setup import row_format
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import Manifest
from schemas.registry import FORMATS

WINDOW = 16384
"""Samples that are shuffled together in memory, at most (a larger part stands alone)."""

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def export(
    config: Config, *, output: str | None = None, restart: bool = False, progress: Progress | None = None
) -> Manifest:
    """Write the shareable data set from the cached source and all rounds.

    Args:
        config: the run; `teacher-logits` and the auxiliary samples of every round must be complete.
        output: URL of the data set, by default the run's `dataset`.
        restart: throw away what is there.
        progress: where to report.

    Returns:
        The data set's manifest; its details hold the row format, counts by origin and round, and provenance.

    Raises:
        UserError: an input is missing, or what is there was made from something else.
    """
    progress = progress or Silent()
    cache_url = layout.teacher_logits(config.output)
    cache = read_manifest(cache_url, "cache CONFIG")
    samples = open_samples(config)
    if cache.fingerprint["source"] != samples.fingerprint():
        raise UserError(f"{cache_url} was made from another source; run `bpkd cache CONFIG --restart` first")
    rows = row_format(config, samples, cache.details["width"])
    rounds = [
        read_manifest(layout.auxiliary(config.output, number), "mine CONFIG")
        for number in range(1, config.run.rounds + 1)
    ]
    own = source_parts(samples, cache_url, cache, rows) if config.export.include_source else []
    parts = own + [
        part
        for number, manifest in enumerate(rounds, 1)
        for part in auxiliary_parts(layout.auxiliary(config.output, number), manifest, rows)
    ]
    if not sum(part.samples for part in parts):
        raise UserError("nothing to export: no auxiliary samples, and export.include_source = false")
    artifact = Artifact(
        output or layout.dataset(config.output),
        "dataset",
        {
            "cache": cache.fingerprint,
            "rounds": [{file.path: file.sha256 for file in manifest.files} for manifest in rounds],
            "export": config.export.model_dump(mode="json"),
            "seed": config.run.seed,
        },
        restart=restart,
    )
    if artifact.manifest is not None:
        return artifact.manifest
    details = _details(config, rows, cache, rounds, own)
    writer = _Writer(config, artifact, rows, parts)
    with progress.task("export", sum(part.samples for part in parts)) as task:
        for unit, count in writer.write():
            task.advance(count)
            writer.units.append(unit)
    return artifact.finish(writer.units, details)


class _Writer:
    """Shuffles parts window by window and cuts every window into shards of nearly equal size."""

    def __init__(self, config: Config, artifact: Artifact, rows: RowFormat, parts: list[Part]) -> None:
        self._config, self._artifact, self._rows = config, artifact, rows
        self._format: ShardFormat = FORMATS.build(config.export.format)
        self._groups = group(parts, WINDOW, numpy_generator(config.run.seed, "export"))
        size = _shard_samples(config.export.shard_size, parts)
        self._counts = [math.ceil(sum(part.samples for part in window) / size) for window in self._groups]
        self.units: list[str] = []

    def write(self) -> Iterator[tuple[str, int]]:
        """(unit, samples) of each window as it is committed."""
        first = 0
        for index, (window, count) in enumerate(zip(self._groups, self._counts, strict=True)):
            unit = f"window-{index:05d}"
            if not self._artifact.done(unit):
                self._write_window(unit, index, window, first, count)
            first += count
            yield unit, sum(part.samples for part in window)

    def _write_window(self, unit: str, index: int, window: list[Part], first: int, count: int) -> None:
        table = pa.concat_tables([part.table() for part in window])
        order = numpy_generator(self._config.run.seed, "export", index).permutation(table.num_rows)
        table, total = table.take(pa.array(order)), table.num_rows
        entries = []
        for shard in range(count):
            start, stop = total * shard // count, total * (shard + 1) // count
            piece = table.slice(start, stop - start).combine_chunks()
            source = sum(origin == SOURCE for origin in piece["origin"].to_pylist())
            data = self._format.write(piece, self._rows)
            entries.append(self._artifact.write(self._name(first + shard), data, piece.num_rows, source))
        self._artifact.commit(unit, entries)

    def _name(self, shard: int) -> str:
        return f"{self._config.export.split}-{shard:05d}-of-{sum(self._counts):05d}.{self._format.suffix}"


def _shard_samples(size: int | str, parts: list[Part]) -> int:
    """Samples per shard; a size in bytes is turned into samples by the mean size of a few of them."""
    if isinstance(size, int):
        if size < 1:
            raise UserError(f"export.shard_size = {size}: takes at least 1")
        return size
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]i?B)", size.strip(), re.IGNORECASE)
    if match is None:
        raise UserError(f'export.shard_size = {size!r}: takes a number of samples, or bytes as "64MB"')
    limit = float(match[1]) * _UNITS[match[2].upper()]
    largest = max(parts, key=lambda part: part.samples)
    mean = largest.table().nbytes / largest.samples
    return max(1, int(limit / mean))


def _details(
    config: Config, rows: RowFormat, cache: Manifest, rounds: list[Manifest], own: list[Part]
) -> dict[str, Any]:
    """What a reader of the data set needs to know and has no other way to."""
    mined = [
        {"round": number, "samples": manifest.samples, "gap": manifest.details["gap"]}
        for number, manifest in enumerate(rounds, 1)
    ]
    teacher = cache.fingerprint["teacher"]
    return {
        "rows": {
            "kind": rows.kind,
            "codec": rows.codec,
            "width": rows.width,
            "shape": list(rows.shape),
            "task": rows.task,
            "targets": rows.targets,
            "class_names": list(rows.class_names) if rows.class_names else None,
        },
        "format": config.export.format,
        "split": config.export.split,
        "counts": {
            "source": sum(part.source for part in own),
            "auxiliary": sum(manifest.samples for manifest in rounds),
            "rounds": mined,
        },
        "provenance": {
            "name": config.run.name,
            "source": config.data.train,
            "teacher": teacher,
            "student": rounds[0].fingerprint["student"] if rounds else None,
            "mine": config.mine.model_dump(mode="json") if rounds else None,
            "seed": config.run.seed,
        },
    }
