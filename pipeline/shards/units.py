"""Units of work: an artifact is made unit by unit, each committed as a whole and never made twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.progress import Task
from pipeline.shards.artifact import Artifact, discard
from schemas.errors import UserError
from schemas.manifest import FailedSample, ShardReport


@dataclass(frozen=True, slots=True)
class File:
    """A file that a unit makes; see `FileEntry` for the counts."""

    path: str
    data: bytes
    samples: int = 0
    source: int = 0
    labelled: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """What a unit's work gives: files, samples given up, and details for the report."""

    files: Sequence[File]
    failures: Sequence[FailedSample] = ()
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit's name in the artifact, and the number of samples that it stands for in the progress."""

    name: str
    samples: int


def make_units(
    artifact: Artifact,
    units: Sequence[Unit],
    work: Callable[[int], Made],
    task: Task,
    figures: Callable[[ShardReport], dict[str, float]] = lambda report: {},
) -> list[ShardReport]:
    """Make and commit every unit that is not committed yet.

    Args:
        artifact: being made.
        units: all of them, in the order of the manifest.
        work: makes unit number i; it depends on nothing but i and what it closes over, so any worker may do it.
        task: progress, advanced by each unit's samples.
        figures: of a report, for the progress.

    Returns:
        The reports of all units, in order.

    Raises:
        UserError: the input is wrong. If nothing was there before, nothing is left behind.
    """
    reports = []
    try:
        for index, unit in enumerate(units):
            report = artifact.report(unit.name) if artifact.done(unit.name) else _make(artifact, unit, work(index))
            task.advance(unit.samples, **figures(report))
            reports.append(report)
    except UserError:
        if artifact.new:
            discard(artifact.folder.url, artifact.name)
        raise
    return reports


def _make(artifact: Artifact, unit: Unit, made: Made) -> ShardReport:
    entries = [
        artifact.write(f.path, f.data, samples=f.samples, source=f.source, labelled=f.labelled) for f in made.files
    ]
    return artifact.commit(unit.name, entries, made.failures, made.details)
