"""Past this machine: what a run of 1 M, 100 M and 1 B samples costs, and where it breaks first.

    python benchmarks/scale/device.py             # on a machine with a GPU: writes results/scale_gpu.json
    python benchmarks/scale_model.py              # on an idle machine: writes results/scale.json
    python benchmarks/scale_model.py --render     # puts the tables into docs/scale.md

Measures the constants of a small simulation here, predicts with it what 60,000 28x28 images take on 1, 2 and 3 workers,
runs the same for real, and stores both. The projections are computed from the two files whenever they are shown.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before PyTorch is imported, here and in all workers

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "scale.json"
DEVICE = ROOT / "benchmarks" / "results" / "scale_gpu.json"
PAGE = ROOT / "docs" / "scale.md"
SAMPLES, WORKERS = 60_000, (1, 2, 3)


def read_results(output: Path = RESULT, device: Path = DEVICE) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The stored results; None for those of a GPU where there are none."""
    return json.loads(output.read_text()), json.loads(device.read_text()) if device.exists() else None


def run(quick: bool, samples: int, workers: tuple[int, ...]) -> dict[str, Any]:
    """Measure, predict and compare; what is stored."""
    import torch
    from scale.compare import compare
    from scale.measure import QUICK, Sizes, measure

    say = lambda message: click.echo(message, err=True)  # noqa: E731
    constants = measure(QUICK if quick else Sizes(), say)
    compared = compare(constants, samples, workers, say)
    machine = {"platform": platform.platform(), "cores": os.cpu_count(), "torch": torch.__version__}
    return {"machine": machine, "samples": samples, "constants": asdict(constants), "compared": compared}


def show(found: dict[str, str]) -> None:
    """Print the tables, which are Markdown."""
    console = Console()
    for name, text in found.items():
        if not text.startswith("|"):
            console.print(f"{name}: {text}", markup=False)
            continue
        heads, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines())
        table = Table(*heads, title=name)
        for row in rows:
            table.add_row(*row)
        console.print(table)


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--quick", is_flag=True, help="Few samples, to see that it works.")
@click.option("--samples", default=SAMPLES, show_default=True, help="Of the run that is predicted.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
@click.option(
    "--render", is_flag=True, help="Measure nothing; put the tables of the stored results into docs/scale.md."
)
def main(quick: bool, samples: int, output: Path, render: bool) -> None:
    if not render:
        report = run(quick, 3000 if quick else samples, (1, 2) if quick else WORKERS)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(report, indent=1) + "\n")
    from scale.tables import place, tables

    found = tables(*read_results(output))
    show(found)
    if render:
        PAGE.write_text(place(PAGE.read_text(), found))


if __name__ == "__main__":
    main()
