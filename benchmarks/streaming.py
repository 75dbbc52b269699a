"""How long does a training wait for data that it streams? And how fast is it beside one that has all in memory?

    python benchmarks/streaming.py

Real shards of 28x28 images, of which `train.memory_mb` holds a small part, go through `bpkd train`'s own pool and loop.
What counts is the time from the first window on: the share in which no optimiser step runs, because one waits for the
next window, and the steps per second. Runs are taken in turn, and what is shown are medians. Writes
benchmarks/results/streaming.json, which `python benchmarks/performance.py` puts into docs/performance.md.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as `bpkd` has it, and before PyTorch is imported

import click
import torch
from reading import make
from timing import machine, save, show
from training_speed import students, train

from pipeline.datasets import open_dataset
from pipeline.distill.pool import Window
from pipeline.shards.pool import PartsPool

RESULT = Path(__file__).parent / "results" / "streaming.json"
ALL_MB, SOME_MB = 2048, 8


class Watched:
    """A pool that notes how long it is waited for, from when the first window is there."""

    def __init__(self, pool: PartsPool) -> None:
        self._pool, self.sizes = pool, pool.sizes
        self.began: float | None = None
        self.waited = 0.0

    def load(self, index: int, following: int | None = None) -> Window:
        asked = time.perf_counter()
        window = self._pool.load(index, following)
        now = time.perf_counter()
        if self.began is None:
            self.began = now
        else:
            self.waited += now - asked
        return window

    def stop(self) -> None:
        self._pool.stop()


def run(student: torch.nn.Module, url: Path, memory_mb: int, steps: int) -> dict[str, float]:
    """What counts of one training, and how many windows its data set is."""
    dataset = open_dataset(str(url))
    pool = Watched(PartsPool(dataset.parts, dataset.rows, memory_mb=memory_mb, seed=0, device=torch.device("cpu")))
    train(student, pool, 0.9, steps)
    assert pool.began is not None
    seconds = time.perf_counter() - pool.began
    return {"windows": len(pool.sizes), "steps_per_second": steps / seconds, "waiting": pool.waited / seconds}


def measure(folder: Path, samples: int, steps: int, rounds: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Student -> way -> runs."""
    urls = make(folder, samples)
    ways = {"from memory": (urls["parquet"], ALL_MB)}
    ways |= {f"streamed, {name}": (url, SOME_MB) for name, url in urls.items()}
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name, student in students().items():
        found[name] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, place in ways.items():
                found[name][way].append(run(student, *place, steps))
    return found


def rows(found: dict[str, dict[str, list[dict[str, float]]]]) -> Iterator[list[str]]:
    """Heads, and what is shown of each student and way."""
    yield ["student", "data set", "windows", "waits", "steps/s", "of from memory"]
    for student, ways in found.items():
        for way, runs in ways.items():
            windows, waiting = median(runs, "windows"), median(runs, "waiting")
            speed, base = (median(ways[name], "steps_per_second") for name in (way, "from memory"))
            yield [student, way, f"{windows:.0f}", f"{waiting:.1%}", f"{speed:,.0f}", f"{speed / base:.0%}"]


def median(runs: list[dict[str, float]], figure: str) -> float:
    return statistics.median(run[figure] for run in runs)


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--samples", default=60_000, show_default=True)
@click.option("--steps", default=600, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--quick", is_flag=True, help="Few samples and steps, to see that it works.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(samples: int, steps: int, rounds: int, quick: bool, output: Path) -> None:
    samples, steps, rounds = (12_000, 40, 1) if quick else (samples, steps, rounds)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), samples, steps, rounds)
    save(output, {"machine": machine(), "samples": samples, "memory_mb": SOME_MB, "steps": steps, "runs": found})
    show(rows(found))


if __name__ == "__main__":
    main()
