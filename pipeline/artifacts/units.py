"""Units of work: an artifact is made unit by unit, each committed as a whole and never made twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from pipeline.artifacts.artifact import Artifact
from pipeline.progress import Task
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
    """What a unit's work gives: files, samples given up, and details for the report.

    The files may come from a generator, so that only one of them is in memory at a time.
    """

    files: Iterable[File]
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
    *,
    workers: int = 1,
) -> list[ShardReport]:
    """Make and commit every unit that is not committed yet.

    Args:
        artifact: being made.
        units: all of them, in the order of the manifest.
        work: makes unit number i. It depends on nothing but i and what it closes over, so the result is the same
            whoever does it and when; with several workers it is called from several threads.
        task: progress, advanced by each unit's samples.
        figures: of a report, for the progress.
        workers: units that are made at the same time.

    Returns:
        The reports of all units, in order.
    """

    def commit(unit: Unit, made: Made) -> None:
        files = [
            artifact.write(f.path, f.data, samples=f.samples, source=f.source, labelled=f.labelled) for f in made.files
        ]
        report = artifact.commit(unit.name, files, made.failures, made.details)
        task.advance(unit.samples, **figures(report))

    todo = []
    for index, unit in enumerate(units):
        if artifact.done(unit.name):
            task.advance(unit.samples, **figures(artifact.report(unit.name)))
        else:
            todo.append(index)
    for index, made in _in_turn(work, todo) if workers == 1 else _at_once(work, todo, workers):
        commit(units[index], made)
    return [artifact.report(unit.name) for unit in units]


def _in_turn(work: Callable[[int], Made], todo: Sequence[int]) -> Iterator[tuple[int, Made]]:
    for index in todo:
        yield index, work(index)


def _at_once(work: Callable[[int], Made], todo: Sequence[int], workers: int) -> Iterator[tuple[int, Made]]:
    """(number, what it made) as they get done; no more units are begun or held than there are workers."""
    waiting, running = iter(todo), {}
    pool = ThreadPoolExecutor(workers, "bpkd-unit")
    try:
        running = {pool.submit(work, index): index for index in islice(waiting, workers)}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
                running |= {pool.submit(work, index): index for index in islice(waiting, 1)}
    finally:
        # Whoever stops, by Ctrl-C or a mistake, does not wait for units that nobody will commit.
        pool.shutdown(wait=False, cancel_futures=True)
