"""Few unlabelled samples: what does each method make of 500 Fashion-MNIST images and a strong teacher?

    python benchmarks/few_sample.py --data ../shared/data/fashion_mnist

Every method gets the same teacher, the same images, the same number of optimiser steps and, where it stores auxiliary
samples, the same number of them. First table: the student each run ends with. Second table: fresh students, of the same
architecture and twice as wide, trained from each method's exported data set alone. Mean and standard deviation over
seeds, on the test split, which chooses nothing. Prints both tables in Markdown and writes results.json into the work
folder; a full run of all methods writes results/few_sample.json too, which the README quotes.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.config import Config

os.environ.setdefault("OMP_NUM_THREADS", "1")

import click

HERE = Path(__file__).parent
SAMPLES, ROUNDS, STEPS, SEEDS, EPOCHS = 500, 9, 3000, 3, 8
QUICK_STEPS = 60
TEACHER: dict[str, Any] = {"factory": "zoo:cnn", "kwargs": {"width": 128, "depth": 5}}
STUDENT: dict[str, Any] = {"factory": "zoo:cnn", "kwargs": {"width": 16, "depth": 4}}
WIDE: dict[str, Any] = {"factory": "zoo:cnn", "kwargs": {"width": 32, "depth": 4}}

CLIMB = {"steps": 10, "step_size": 0.2}
NOISE = {"start": "noise", "start_options": {"std": 0.3}}
METHODS: dict[str, dict[str, dict[str, Any]]] = {
    "label-only": {"run": {"rounds": 0}, "train": {"alpha": 0.0}},
    "plain KD": {"run": {"rounds": 0}},
    "KD + noise": {"mine": {"steps": 0, **NOISE}},
    "bpkd": {"mine": CLIMB},
    "bpkd from noise": {"mine": {**CLIMB, **NOISE}},
}


@dataclass(frozen=True)
class Result:
    """One student: fractions, and seconds of all stages that led to it, None where they were broken off and resumed."""

    method: str
    student: str
    seed: int
    accuracy: float
    agreement: float
    stored: int
    seconds: float | None


def config_of(method: str, seed: int, data: str, work: Path, steps: int, epochs: int) -> Config:
    from schemas.config import parse_config

    values: dict[str, dict[str, Any]] = {
        "run": {
            "name": method,
            "output": str(work / f"{method.replace(' ', '-')}-{seed}"),
            "seed": seed,
            "rounds": ROUNDS,
            "device": "cpu",
        },
        "data": {
            "train": f"{data}/train-*.parquet",
            "eval": f"{data}/test-*.parquet",
            "limit": SAMPLES,
        },
        "teacher": {**TEACHER, "weights": str(work / f"teacher-{epochs}-epochs.safetensors")},
        "student": STUDENT,
        "mine": {},
        "train": {"steps": steps, "alpha": 1.0, "lr": 3e-3},
    }
    for section, changes in METHODS[method].items():
        values[section] = {**values[section], **changes}
    return parse_config(values, root=Path.cwd(), origin=method)


def make_teacher(data: str, work: Path, epochs: int) -> None:
    """Train the teacher on the whole training split with labels, unless it is there already."""
    import torch

    from cli.progress import make_progress
    from pipeline.work.teaching import train_teacher

    config = config_of("plain KD", 0, data, work, STEPS, epochs)
    if not Path(config.locate(str(config.teacher.weights))).exists():
        torch.set_num_threads(os.cpu_count() or 1)
        taught = train_teacher(config, epochs=epochs, progress=make_progress(quiet=False))
        click.echo(f"teacher: accuracy {taught.accuracy:.4f}, {taught.weights:,} weights", err=True)


def run_one(method: str, seed: int, data: str, work: Path, steps: int, epochs: int) -> list[Result]:
    """The whole run of one method, then fresh students from its data set."""
    from pipeline import layout
    from pipeline.stages import cache, evaluate, export, mine, train
    from pipeline.timing import timed

    config = config_of(method, seed, data, work, steps, epochs)

    def stages() -> int:
        cache(config)
        mine(config)
        stored = export(config).samples
        train(config)
        return stored

    def result(student: str, figures: dict[str, float], seconds: float | None) -> Result:
        return Result(method, student, seed, figures["accuracy"], figures["agreement"], stored, seconds)

    stored, seconds = timed(config.output, stages)
    results = [result("continued", evaluate(config), seconds)]
    for name, student in (("fresh", STUDENT), ("fresh, twice as wide", WIDE)):
        fresh = fresh_student(config, student)
        output = f"{layout.student(config.output)}-{name.replace(', ', '-').replace(' ', '-')}"
        _, seconds = timed(output, partial(train, fresh, output=output))
        results.append(result(name, evaluate(fresh, student=output, output=f"{output}-evaluation"), seconds))
    return results


def fresh_student(config: Config, student: dict[str, Any]) -> Config:
    """The config with another student, trained from new weights; paths stay relative to the same directory."""
    changes = {"student": student, "train": {"init": "fresh"}, "run": {"seed": config.run.seed + 1000}}
    sections = {name: getattr(config, name) for name in changes}
    return config.model_copy(
        update={
            name: section.model_validate(section.model_dump() | changes[name]) for name, section in sections.items()
        }
    )


def table(results: list[Result], students: list[str]) -> str:
    """Markdown: a row per method, for every student accuracy and agreement as mean +- std in per cent."""
    head = "| method | stored |" + "".join(f" {s}: accuracy | {s}: agreement |" for s in students)
    lines = [head, "|---|---|" + "---|---|" * len(students)]
    for method in dict.fromkeys(result.method for result in results):
        rows = [result for result in results if result.method == method]
        cells = [method, f"{rows[0].stored:,}"]
        for student in students:
            for figure in ("accuracy", "agreement"):
                cells.append(_mean_std([100 * getattr(r, figure) for r in rows if r.student == student]))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean_std(values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ± {spread:.1f}"


@click.command(help=__doc__.splitlines()[0] if __doc__ else None)
@click.option("--data", required=True, help="directory with train-*.parquet and test-*.parquet (image, label)")
@click.option("--work", help="where runs are kept and resumed; by default work/few_sample or, with --quick, work/quick")
@click.option("--seeds", default=SEEDS, show_default=True)
@click.option("--jobs", default=os.cpu_count(), show_default=True, help="runs side by side, one thread each")
@click.option("--epochs", default=EPOCHS, show_default=True, help="of the teacher's training")
@click.option("--methods", default=",".join(METHODS), help="comma-separated")
@click.option("--quick", is_flag=True, help=f"{QUICK_STEPS} steps, one seed, to see that it works")
def main(data: str, work: str | None, seeds: int, jobs: int, epochs: int, methods: str, quick: bool) -> None:
    steps, seeds, epochs = (QUICK_STEPS, 1, 1) if quick else (STEPS, seeds, epochs)
    folder = Path(work) if work else HERE / "work" / ("quick" if quick else "few_sample")
    folder.mkdir(parents=True, exist_ok=True)
    make_teacher(data, folder, epochs)
    names = methods.split(",")
    tasks = [(method, seed, data, folder, steps, epochs) for seed in range(seeds) for method in names]
    results: list[Result] = []
    # Not forked: a child of a process that has computed with several threads would inherit their number, and may hang.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for found in pool.map(run_one, *zip(*tasks, strict=True)):
            results += found
            for result in found:
                seconds = "resumed" if result.seconds is None else f"{result.seconds:.0f} s"
                click.echo(
                    f"{result.method:>16} seed {result.seed} {result.student:<22}"
                    f"accuracy {result.accuracy:.4f}  agreement {result.agreement:.4f}  {seconds}",
                    err=True,
                )
    settings = {"samples": SAMPLES, "steps": steps, "teacher_epochs": epochs, "teacher": TEACHER, "student": STUDENT}
    report = {
        "command": "python benchmarks/few_sample.py --data DIR",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "settings": {**settings, "methods": METHODS},
        "results": [asdict(result) for result in results],
    }
    text = json.dumps(report, indent=1) + "\n"
    (folder / "results.json").write_text(text)
    if (steps, seeds, epochs, names) == (STEPS, SEEDS, EPOCHS, list(METHODS)):
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "few_sample.json").write_text(text)
    click.echo(table(results, ["continued"]))
    click.echo()
    click.echo(table(results, ["fresh", "fresh, twice as wide"]))


if __name__ == "__main__":
    main()
