"""Is `bpkd plan` right? What it says of a run on 60,000 images, beside what the run then takes.

    python benchmarks/plan_error.py

Plans, then runs all stages in a process of its own, with one worker and with two processes, which share the cores
(OMP_NUM_THREADS): seconds, bytes and peak memory of every stage. Writes benchmarks/results/plan_error.json, which
`python benchmarks/performance.py` puts into docs/performance.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from images import write_source
from timing import machine, save, show

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "plan_error.json"
STAGES = ROOT / "benchmarks" / "watched_stages.py"
CONFIG = """
[run]
output = "{output}"
rounds = 2
{run}
[data]
train = "source"
eval = "held-out"
[teacher]
factory = "zoo:cnn"
kwargs = {{ classes = 10, width = 32, depth = 4 }}
[student]
factory = "zoo:cnn"
kwargs = {{ classes = 10, width = 8, depth = 3 }}
[mine]
steps = 5
[train]
steps = {steps}
"""
CREWS = {"1 worker": ("", 1), "2 processes": ('runner = "processes"\nworkers = 2', 2)}
FIGURES = ("seconds", "bytes", "memory")
LIMIT = 0.25
"""What the plan may be off, of what the run takes."""


def planned(config: Path, workers: int, seconds: float) -> dict[str, dict[str, float]]:
    """What `bpkd plan` says of every stage."""
    options = ["--json", "--quiet", "--workers", str(workers), "--seconds", str(seconds)]
    told = json.loads(_output([sys.executable, "-m", "cli.main", "plan", str(config), *options], workers))
    return {
        stage["stage"]: {"seconds": stage["seconds"][str(workers)], **{name: stage[name] for name in FIGURES[1:]}}
        for stage in told["stages"]
    }


def measured(config: Path, workers: int) -> dict[str, dict[str, float]]:
    """What every stage takes."""
    found: dict[str, dict[str, float]] = json.loads(_output([sys.executable, str(STAGES), str(config)], workers))
    return found


def _output(command: list[str], workers: int) -> str:
    """What a command prints, whose workers share the cores."""
    threads = max((os.cpu_count() or 1) // workers, 1)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "10000"}  # as `bpkd` sets it
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout


def with_total(stages: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The same, and all stages together: of memory the most."""
    known = {name: [stage.get(name, 0.0) for stage in stages.values()] for name in FIGURES}
    return {**stages, "all": {name: (max if name == "memory" else sum)(values) for name, values in known.items()}}


def rows(report: dict[str, Any]) -> Iterator[list[str]]:
    """Heads, and planned beside measured of every stage of every crew."""
    heads = [[f"{name}, planned / measured", "error"] for name in ("seconds", "MiB written", "MiB of memory")]
    yield ["workers", "stage", *(head for pair in heads for head in pair)]
    off = errors(report)
    for crew, found in report["crews"].items():
        plan, run = with_total(found["planned"]), with_total(found["measured"])
        for stage in run:
            cells = [crew, stage]
            for name, scale in zip(FIGURES, (1, 2**20, 2**20), strict=True):
                said, took = plan[stage].get(name, 0.0) / scale, run[stage].get(name, 0.0) / scale
                error = off.get((crew, stage, name))
                cells += ["", ""] if error is None else [f"{said:,.1f} / {took:,.1f}", f"{error:+.0%}"]
            yield cells


def errors(report: dict[str, Any]) -> dict[tuple[str, str, str], float]:
    """(crew, stage, figure) -> what the plan says more than was taken, relative to that; "all" is the whole run."""
    found = {}
    for crew, both in report["crews"].items():
        plan, run = with_total(both["planned"]), with_total(both["measured"])
        for stage, taken in run.items():
            for name in FIGURES:
                if taken.get(name):
                    found[crew, stage, name] = plan[stage].get(name, 0.0) / taken[name] - 1
    return found


def beyond(report: dict[str, Any]) -> list[str]:
    """What is off by more than the limit, of every stage and of the whole."""
    return [
        f"{stage} with {crew}: {name} off by {error:+.0%}"
        for (crew, stage, name), error in errors(report).items()
        if abs(error) > LIMIT
    ]


def measure(folder: Path, crew_names: Sequence[str], samples: int, steps: int, seconds: float) -> dict[str, Any]:
    write_source(folder / "source", samples)
    write_source(folder / "held-out", max(samples // 6, 1))
    crews = {}
    for crew in crew_names:
        run, workers = CREWS[crew]
        config = folder / "config.toml"
        config.write_text(CONFIG.format(output=f"run-{workers}", run=run, steps=steps))
        click.echo(f"{crew}: plan", err=True)
        said = planned(config, workers, seconds)
        click.echo(f"{crew}: run", err=True)
        crews[crew] = {"planned": said, "measured": measured(config, workers)}
    return {"machine": machine(), "samples": samples, "crews": crews}


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--samples", default=60000, show_default=True)
@click.option("--seconds", default=30.0, show_default=True, help="of each plan")
@click.option("--quick", is_flag=True, help="Few samples, to see that it works.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(samples: int, seconds: float, quick: bool, output: Path) -> None:
    crews, steps = list(CREWS), 1500
    if quick:
        crews, samples, steps, seconds = crews[:1], 256, 30, 0.5
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), crews, samples, steps, seconds)
    save(output, report)
    show(rows(report))
    if not quick and (lines := beyond(report)):
        raise SystemExit("\n".join([*lines, f"at most {LIMIT:.0%} is aimed at"]))


if __name__ == "__main__":
    main()
