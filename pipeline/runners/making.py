"""An artifact's units made by a runner and committed as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from pipeline.artifacts.artifact import Artifact
from pipeline.artifacts.units import Unit
from pipeline.progress import Task
from pipeline.runners.base import Job, Runner
from schemas.errors import UserError
from schemas.manifest import MAX_FILES, ShardReport


def make_units(
    artifact: Artifact,
    units: Sequence[Unit],
    job: Job,
    runner: Runner,
    task: Task,
    figures: Callable[[ShardReport], dict[str, float]] = lambda report: {},
    say: Callable[[str], None] = lambda message: None,
) -> list[ShardReport]:
    """Make and commit every unit that is not committed yet.

    Args:
        artifact: being made.
        units: all of them, in the order of the manifest.
        job: makes unit number i. The result depends on nothing but i and what the job is made from, so it is the same
            whoever makes it and when.
        runner: has them made.
        task: progress, advanced by each unit's samples.
        figures: means over a report's samples, for the progress.
        say: told where workers are started, which takes seconds.

    Returns:
        The reports of all units, in order.

    Raises:
        UserError: there are more units than a manifest can list; of a unit, as its work raised it.
        BpkdError: workers were killed, again and again.
        TransientError: a cluster or a store failed.
    """
    if len(units) > MAX_FILES:
        raise UserError(f"{len(units):,} shards, a manifest lists {MAX_FILES:,} at most; set a larger data.shard_size")
    todo, means = [], _Means()
    for index, unit in enumerate(units):
        if artifact.done(unit.name):
            task.skip(unit.samples, **means.add(unit.samples, figures(artifact.report(unit.name))))
        else:
            todo.append(index)
    if todo:
        if runner.starting:
            say(f"{job.name}: starting {runner.starting}")

        def commit(index: int, made: ShardReport) -> ShardReport:
            return artifact.commit(units[index].name, made.files, made.failures, made.details)

        # Closed here: a traceback that is kept would keep the generator, too, and with it what is handed out.
        with closing(runner.run(job, todo, commit)) as making:
            for index, report in making:
                task.advance(units[index].samples, **means.add(units[index].samples, figures(report)))
    return [artifact.report(unit.name) for unit in units]


class _Means:
    """Means over all units so far, each of which counts by its samples."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, samples: int, figures: dict[str, float]) -> dict[str, float]:
        for name, value in figures.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = total + value * samples, count + samples
        return {name: total / count for name, (total, count) in self._sums.items() if count}
