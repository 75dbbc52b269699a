"""What went on in a run: what each artifact cost, how the loss fell, how far climbs went."""

from __future__ import annotations

import io
from typing import Any

import polars as pl

from pipeline import layout
from pipeline.directory import Run
from pipeline.report.figures import Cost, Curve, Gap, Stage
from schemas.dataset import Gaps
from schemas.errors import BpkdError
from schemas.manifest import Manifest

POINTS, FEWEST = 4000, 10
"""Of all trainings' curves together, at most, unless each then had fewer."""

_DOES = {
    "teacher-logits": "label the source",
    "embeddings": "map embeddings",
    "opponent": "train opponents",
    "auxiliary": "climb",
    "dataset": "write the data set",
    "student": "train the student",
    "evaluation": "evaluate",
}


def stages(run: Run) -> list[Stage]:
    """What each artifact has cost."""
    return [_stage(run, path, kind) for path, kind in run.artifacts]


def costs(stages: list[Stage], more_rounds: int = 0) -> list[Cost]:
    """What all artifacts of each kind have cost; of further rounds there is nothing yet."""
    found = []
    for kind in dict.fromkeys(stage.kind for stage in stages):
        same = [stage for stage in stages if stage.kind == kind]
        known = [stage.seconds for stage in same if stage.seconds is not None]
        found.append(
            Cost(
                name=_DOES.get(kind, kind),
                command=same[0].command,
                artifacts=len(same) + (more_rounds if kind in layout.IN_ROUNDS else 0),
                done=sum(stage.state == "finished" for stage in same),
                samples=sum(stage.samples for stage in same),
                failures=sum(stage.failures for stage in same),
                bytes=sum(stage.bytes for stage in same),
                seconds=sum(known),
                timed=len(known),
            )
        )
    return found


def _stage(run: Run, path: str, kind: str) -> Stage:
    manifest, command = run.manifests[path], layout.MADE_BY[kind]
    if not isinstance(manifest, Manifest):
        return Stage(path, kind, command, manifest if manifest in ("missing", "unfinished") else "damaged")
    return Stage(
        name=path,
        kind=kind,
        command=command,
        state="finished",
        samples=manifest.samples,
        files=len(manifest.files),
        bytes=sum(entry.bytes for entry in manifest.files),
        failures=manifest.failures,
        seconds=_seconds(run, path),
        manifest=manifest.manifest_sha256,
        hashes=[(entry.path, entry.bytes, entry.sha256) for entry in manifest.files],
        made_from=manifest.fingerprint,
    )


def _seconds(run: Run, path: str) -> float | None:
    folder, name = run.folder / layout.TIMES, layout.time_of(path)
    try:
        seconds = float(folder.read(name)) if folder.exists(name) else -1.0
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None


def curves(run: Run) -> list[Curve]:
    """The loss of every finished training, one after the other on one axis of steps.

    Raises:
        BpkdError: a file is missing or damaged.
    """
    fresh = run.setting("train", "init") == "fresh"
    found, begin = [], 0
    trainings = [(layout.place_in(number, "opponent"), f"round {number}") for number in run.rounds_shown]
    for path, name in [*trainings, ("student", "student")]:
        data = run.read(path, "metrics.parquet")
        if data is None:
            continue
        try:
            table = pl.read_parquet(io.BytesIO(data), columns=["step", "loss"]).cast(pl.Float64)
        except pl.exceptions.PolarsError as error:
            raise BpkdError(f"{run.url}/{path}/metrics.parquet: {error}") from None
        begin = 0 if path == "student" and fresh else begin
        every = -(-len(table) // max(FEWEST, POINTS // (len(trainings) + 1)))
        table = pl.concat([table.gather_every(every), table.tail(1)]).unique("step", maintain_order=True)
        steps = [begin + int(step) for step in table["step"]]
        found.append(Curve(name, steps, table["loss"].to_list()))
        begin = max(steps, default=begin)
    return found


def steps(run: Run) -> int | None:
    """Of the optimiser, that the student took: also those of the opponents, where it went on from the last of them."""
    student = run.manifest("student")
    if student is None:
        return None
    found = [student]
    if "opponent" in student.fingerprint:
        opponents = [run.manifest(layout.place_in(number, "opponent")) for number in run.rounds_shown]
        found += [manifest for manifest in opponents if manifest is not None]
        if len(found) != run.rounds + 1:
            return None
    counts = [count for manifest in found if isinstance(count := manifest.details.get("steps"), int)]
    return sum(counts) if len(counts) == len(found) else None


def gaps(run: Run) -> list[Gap]:
    """Of every finished round that has samples."""
    found = []
    for number in run.rounds_shown:
        manifest = run.manifest(layout.place_in(number, "auxiliary"))
        if manifest is None or not manifest.details.get("gap"):
            continue
        both = [_quartiles(manifest.details["gap"].get(name)) for name in ("gap_before", "gap_after")]
        found.append(Gap(number, manifest.samples, *both))
    return found


def _quartiles(value: Any) -> tuple[float, float, float, float]:
    gap = Gaps.model_validate(value)
    return gap.mean, gap.q25, gap.q50, gap.q75
