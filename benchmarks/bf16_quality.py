"""Does bf16 cost quality? What climbs in bf16 find, and what a student makes of it, against the same in fp32.

    python benchmarks/bf16_quality.py --data ../shared/data/fashion_mnist

The setting of few_sample.py, but for half the steps, five rounds and a teacher of two epochs: 500 images without
labels. Every seed is run through all stages twice, in fp32 and in bf16. Already the first opponents of the two differ a
little, as they are trained on logits of another precision; so bf16 also climbs against the opponents of the run in
fp32, which leaves nothing but the climb to compare. The stored `gap_after` is what the models give in the precision of
the climbs; what decides is the gap of the stored images as teacher and opponent see them in fp32. Students are
measured in fp32, too.
Writes benchmarks/results/bf16_quality.json, which `python benchmarks/performance.py` puts into docs/performance.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from bf16_tables import PRECISIONS, WAYS, Gaps, gap_rows, student_rows
from comparison import HERE, QUICK_STEPS, Result, Scale, config_of, fresh_student, make_teacher
from few_sample import CLIMB, STUDENT
from few_sample import COMPARISON as FEW_SAMPLE
from timing import machine, save, show

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.work.mining import MiningSetup
    from schemas.config import Config

RESULT = HERE / "results" / "bf16_quality.json"
COMPARISON = replace(
    FEW_SAMPLE,
    name="bf16_quality",
    base={**FEW_SAMPLE.base, "run": {"rounds": 5}},
    methods={precision: {"run": {"precision": precision}, "mine": CLIMB} for precision in PRECISIONS},
    fresh={"fresh": STUDENT},
    steps=1500,
    seeds=6,
    epochs=2,
)
QUICK = replace(COMPARISON, base={**COMPARISON.base, "run": {"rounds": 2}}, seeds=1, epochs=1, steps=QUICK_STEPS)


def set_up_climbs(config: Config, run: str) -> MiningSetup:
    """What climbs of a config need, from the source and the teacher's logits of the run in the directory `run`."""
    import torch

    from pipeline import layout
    from pipeline.artifacts.artifact import read_manifest
    from pipeline.sources import open_samples
    from pipeline.work.mining import set_up
    from pipeline.work.setup import open_pair

    samples, cpu, logits = open_samples(config), torch.device("cpu"), layout.teacher_logits(run)
    teacher, student, _ = open_pair(config, samples, cpu)
    return set_up(config, samples, teacher, student, None, logits, read_manifest(logits, "cache CONFIG"), cpu)


def climb_again(setup: MiningSetup, round_: int) -> pa.Table:
    """The auxiliary samples of a round against the student of `setup` as it is."""
    import pyarrow as pa

    from pipeline.shards.parquet import ParquetFormat
    from pipeline.work.mining import Round

    climbs = Round(setup, round_)
    made = [file for index in range(len(setup.source)) for file in climbs(index).files]
    return pa.concat_tables([ParquetFormat().read(file.data, setup.rows) for file in made])


def stored_by(setup: MiningSetup, round_: int) -> pa.Table:
    """The auxiliary samples of a round that the run of `setup` has stored."""
    import pyarrow as pa

    from pipeline import layout
    from pipeline.artifacts.artifact import read_manifest
    from pipeline.shards.parts import auxiliary_parts

    url = layout.auxiliary(setup.config.output, round_)
    return pa.concat_tables(
        [part.table() for part in auxiliary_parts(url, read_manifest(url, "mine CONFIG"), setup.rows)]
    )


def gap_in_fp32(setup: MiningSetup, table: pa.Table) -> float:
    """Mean gap of stored samples between teacher and student of `setup`, neither of them prepared for anything."""
    import torch

    from pipeline.work.climbers.base import build_objective

    stored = setup.rows.decode(table).stored
    with torch.inference_mode():
        inputs = setup.rows.kind_.to_inputs(stored)
        gaps = build_objective(setup.config.mine)(setup.teacher(inputs), setup.student(inputs))
    return float(gaps.mean())


def measure_gaps(runs: dict[str, Config], seed: int) -> Iterator[Gaps]:
    """Of every round, as both runs have mined it, and as bf16 climbs against the opponent of the run in fp32."""
    from pipeline import layout
    from pipeline.models import freeze
    from pipeline.work.numerics import reproducible
    from pipeline.work.training import load_trained

    setups = {way: set_up_climbs(runs[way[0]], runs[way[1]].output) for way in WAYS}
    for round_ in range(1, runs["fp32"].run.rounds + 1):
        for (climbs, opponents), setup in setups.items():
            load_trained(layout.opponent(runs[opponents].output, round_), setup.student)
            freeze(setup.student)
            with reproducible():
                table = stored_by(setup, round_) if climbs == opponents else climb_again(setup, round_)
            before, after = (float(table[name].to_numpy().mean()) for name in ("gap_before", "gap_after"))
            yield Gaps(seed, round_, climbs, opponents, before, after, gap_in_fp32(setup, table))


def run_seed(quick: bool, seed: int, scale: Scale) -> tuple[list[Gaps], list[Result]]:
    """Both runs of a seed with their students, and the gaps that they found."""
    from pipeline import layout
    from pipeline.stages import cache, evaluate, export, mine, train

    comparison = QUICK if quick else COMPARISON
    runs = {precision: config_of(comparison, precision, seed, scale) for precision in PRECISIONS}
    students = []
    for precision, config in runs.items():
        cache(config)
        mine(config)
        stored = export(config).samples
        train(config)
        output = layout.student(config.output)
        fresh = fresh_student(config, comparison.fresh["fresh"])
        train(fresh, output=f"{output}-fresh")
        for name, trained, place in (("continued", config, output), ("fresh", fresh, f"{output}-fresh")):
            exact = trained.model_copy(update={"run": trained.run.model_copy(update={"precision": "fp32"})})
            figures = evaluate(exact, student=place, output=f"{place}-evaluation")
            students.append(
                Result(precision, name, seed, figures["accuracy"], figures["agreement"], stored, None, figures["gap"])
            )
    return list(measure_gaps(runs, seed)), students


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--data", required=True, help="directory with train-*.parquet and test-*.parquet")
@click.option("--work", help="where runs are kept and resumed; by default in work/")
@click.option("--jobs", default=os.cpu_count(), show_default=True, help="seeds side by side, one thread each")
@click.option("--quick", is_flag=True, help="one seed, two rounds, few steps, to see that it works")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(data: str, work: str | None, jobs: int, quick: bool, output: Path) -> None:
    comparison = QUICK if quick else COMPARISON
    place = Path(work or HERE / "work" / ("quick" if quick else comparison.name))
    scale = Scale(data, place, comparison.steps, comparison.epochs)
    place.mkdir(parents=True, exist_ok=True)
    make_teacher(comparison, scale)
    gaps: list[Gaps] = []
    students: list[Result] = []
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        count = comparison.seeds
        for found in pool.map(run_seed, [quick] * count, range(count), [scale] * count):
            gaps += found[0]
            students += found[1]
            click.echo(f"seed {found[0][0].seed} is done", err=True)
    settings = {"steps": scale.steps, "teacher_epochs": scale.epochs, "base": comparison.base, "climb": CLIMB}
    report: dict[str, Any] = {"machine": {**machine(), "threads": 1}, "settings": settings}
    report |= {"gaps": [asdict(gap) for gap in gaps], "students": [asdict(result) for result in students]}
    save(output, report)
    show(gap_rows(gaps), "Gap found, mean over seeds")
    show(student_rows(students), "Students")


if __name__ == "__main__":
    main()
