"""Few unlabelled samples: what does each method make of 500 Fashion-MNIST images and a strong teacher?

    python benchmarks/few_sample.py --data ../shared/data/fashion_mnist

Every method gets the same teacher, the same images, the same number of optimiser steps and, where it stores auxiliary
samples, the same number of them. First table: the student each run ends with. Second table: fresh students, of the same
architecture and twice as wide, trained from each method's exported data set alone. Mean and standard deviation over
seeds, on the test split, which chooses nothing. Writes results/few_sample.json and prints both tables in Markdown.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import click

HERE = Path(__file__).parent
SAMPLES, ROUNDS, STEPS = 500, 9, 3000
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
    """One student; fractions, and seconds of all stages that led to it."""

    method: str
    student: str
    seed: int
    accuracy: float
    agreement: float
    stored: int
    seconds: float


def config_of(method: str, seed: int, data: str, work: Path, samples: int, steps: int) -> Any:
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
            "limit": samples,
        },
        "teacher": {**TEACHER, "weights": str(work / "teacher.safetensors")},
        "student": STUDENT,
        "mine": {},
        "train": {"steps": steps, "alpha": 1.0, "lr": 3e-3},
    }
    for section, changes in METHODS[method].items():
        values[section] = {**values[section], **changes}
    return parse_config(values, origin=method)


def make_teacher(data: str, work: Path, epochs: int) -> None:
    """Train the teacher on the whole training split with labels, unless it is there already."""
    import torch

    from cli.progress import make_progress
    from pipeline.work.teaching import train_teacher

    if not (work / "teacher.safetensors").exists():
        torch.set_num_threads(os.cpu_count() or 1)
        config = config_of("plain KD", 0, data, work, SAMPLES, STEPS)
        taught = train_teacher(config, epochs=epochs, progress=make_progress(quiet=False))
        click.echo(f"teacher: accuracy {taught.accuracy:.4f}, {taught.weights:,} weights", err=True)


def run_one(method: str, seed: int, data: str, work: Path, samples: int, steps: int) -> list[Result]:
    """The whole run of one method, then fresh students from its data set."""
    from pipeline import layout
    from pipeline.stages import cache, evaluate, export, mine, train
    from schemas.config import parse_config

    config = config_of(method, seed, data, work, samples, steps)
    begin = time.perf_counter()
    cache(config)
    mine(config)
    stored = export(config).samples
    train(config)
    seconds = time.perf_counter() - begin
    results = [_result(method, "continued", seed, evaluate(config), stored, seconds)]
    for name, student in (("fresh", STUDENT), ("fresh, twice as wide", WIDE)):
        values = config.model_dump()
        values["student"] = student
        values["train"]["init"] = "fresh"
        values["run"]["seed"] = seed + 1000
        fresh = parse_config(values)
        output = f"{layout.student(config.output)}-{name.replace(', ', '-').replace(' ', '-')}"
        begin = time.perf_counter()
        train(fresh, output=output)
        seconds = time.perf_counter() - begin
        figures = evaluate(fresh, student=output, output=f"{output}-evaluation")
        results.append(_result(method, name, seed, figures, stored, seconds))
    return results


def _result(method: str, student: str, seed: int, figures: dict[str, float], stored: int, seconds: float) -> Result:
    return Result(method, student, seed, figures["accuracy"], figures["agreement"], stored, seconds)


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
@click.option("--work", default=str(HERE / "work" / "few_sample"), help="where runs are kept and resumed")
@click.option("--seeds", default=3, show_default=True)
@click.option("--jobs", default=os.cpu_count(), show_default=True, help="runs side by side, one thread each")
@click.option("--epochs", default=8, show_default=True, help="of the teacher's training")
@click.option("--methods", default=",".join(METHODS), help="comma-separated")
@click.option("--quick", is_flag=True, help="60 steps, one seed, to see that it works")
def main(data: str, work: str, seeds: int, jobs: int, epochs: int, methods: str, quick: bool) -> None:
    steps, seeds, epochs = (60, 1, 1) if quick else (STEPS, seeds, epochs)
    folder = Path(work)
    folder.mkdir(parents=True, exist_ok=True)
    make_teacher(data, folder, epochs)
    tasks = [(m, s, data, folder, SAMPLES, steps) for s in range(seeds) for m in methods.split(",")]
    results: list[Result] = []
    with ProcessPoolExecutor(jobs) as pool:
        for found in pool.map(run_one, *zip(*tasks, strict=True)):
            results += found
            for result in found:
                click.echo(
                    f"{result.method:>16} seed {result.seed} {result.student:<22}"
                    f"accuracy {result.accuracy:.4f}  agreement {result.agreement:.4f}  {result.seconds:.0f} s",
                    err=True,
                )
    report = {
        "command": "python benchmarks/few_sample.py --data DIR",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "settings": {"samples": SAMPLES, "steps": steps, "teacher": TEACHER, "student": STUDENT, "methods": METHODS},
        "results": [asdict(result) for result in results],
    }
    if not quick:
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "few_sample.json").write_text(json.dumps(report, indent=1) + "\n")
    click.echo(table(results, ["continued"]))
    click.echo()
    click.echo(table(results, ["fresh", "fresh, twice as wide"]))


if __name__ == "__main__":
    main()
