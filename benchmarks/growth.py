"""What does a larger data set cost? Time and peak memory of every stage on 6,000, 60,000 and 600,000 images.

    python benchmarks/growth.py

Every stage is a process of its own, with one thread for its models, of which the system tells the seconds, the seconds
of the processor and the peak of its resident memory. The time of an added sample, from one size to the next, leaves out
what a process takes to start. It should stay the same, and so should memory once everything that bounds it is full:
export shuffles 64 MiB at a time, which 6,000 images do not fill; windows of a training are made small here
(train.memory_mb), as by default all these images would be held decoded. Mining trains its opponent for half an epoch
and climbs one step; train goes through the source and as many auxiliary samples once. What is compared is the time of
the processor, which other programs lengthen little. Writes benchmarks/results/growth.json, which
`python benchmarks/performance.py` puts into docs/performance.md; fails where a sample takes more time or memory than
the limits allow.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from images import write_source
from timing import machine, save, show

from schemas.registry import FORMATS

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "growth.json"
SIZES = {6_000: 3, 60_000: 2, 600_000: 1}
"""Samples -> how often they are measured; the median counts."""
FILE_ROWS = 60_000
STAGES = {"cache": ["cache", "{config}"], "mine": ["mine", "{config}"]}
OF_A_FORMAT = {
    "export": ["export", "{config}", "--set", "export.format={format}"],
    "verify": ["verify", "{run}/dataset"],
    "train": ["train", "{config}", "--set", "train.init=fresh"],
}
TIME_LIMIT, MEMORY_LIMIT = 1.10, 1.15
"""What the last size may take of the one before: processor time of an added sample, and peak memory."""

CONFIG = """
[run]
output = "run"
rounds = 1
[data]
train = "source"
[teacher]
factory = "zoo:cnn"
kwargs = { classes = 10, width = 8, depth = 2 }
[student]
factory = "zoo:cnn"
kwargs = { classes = 10, width = 4, depth = 2 }
[mine]
steps = 1
[train]
epochs = 1
memory_mb = 4
"""


@dataclass(frozen=True)
class Cost:
    """Of a process: seconds on the clock, seconds of the processor, and MiB of memory at most."""

    seconds: float
    processor: float
    peak_mib: float

    def __str__(self) -> str:
        return f"{self.seconds:7.1f} s  {self.processor:7.1f} s of the processor  {self.peak_mib:5.0f} MiB"


Found = dict[str, dict[int, list[Cost]]]
"""Stage -> samples -> every measurement."""


def measure(folder: Path, count: int, formats: Sequence[str]) -> Iterator[tuple[str, Cost]]:
    """(stage, its cost) on `count` samples; data sets are removed as soon as they were trained on."""
    write_source(folder / "source", count, FILE_ROWS)
    (folder / "config.toml").write_text(CONFIG)
    run = folder / "run"

    def cost(stage: Sequence[str], form: str = "") -> Cost:
        return cost_of([part.format(config=folder / "config.toml", run=run, format=form) for part in stage])

    for name, stage in STAGES.items():
        yield name, cost(stage)
    for form in formats:
        for name, stage in OF_A_FORMAT.items():
            yield f"{name}, {form}", cost(stage, form)
        for made in ("dataset", "student"):
            shutil.rmtree(run / made)


def cost_of(arguments: Sequence[str]) -> Cost:
    """What a `bpkd` command takes."""
    command = [sys.executable, "-m", "cli.main", *arguments, "--quiet"]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "cost.py", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise SystemExit(f"bpkd {' '.join(arguments)} failed")
    found = json.loads(done.stdout)
    return Cost(found["seconds"], found["processor"], found["peak"] / 2**20)


def medians(found: Mapping[int, Sequence[Cost]], figure: str) -> dict[int, float]:
    """Samples -> the median of a figure."""
    return {count: statistics.median(getattr(cost, figure) for cost in costs) for count, costs in found.items()}


def added(values: Mapping[int, float]) -> list[float]:
    """What one more sample takes, from each size to the next."""
    return [(values[large] - values[small]) / (large - small) for small, large in pairwise(values)]


def time_growth(found: Mapping[int, Sequence[Cost]]) -> float | None:
    """Processor time of an added sample in the last step up, relative to that in the step before; None of two sizes."""
    rates = added(medians(found, "processor"))
    return rates[-1] / rates[-2] if len(rates) > 1 else None


def memory_growth(found: Mapping[int, Sequence[Cost]]) -> float:
    """Peak memory at the last size, as a multiple of that at the size before."""
    *_, small, large = medians(found, "peak_mib").values()
    return large / small


def time_rows(found: Found) -> Iterator[list[str]]:
    """Heads, and the processor time that each stage takes; of the largest size the time on the clock, too."""
    sizes = list(next(iter(found.values())))
    spans = [f"an added sample, {small:,} to {large:,}" for small, large in pairwise(sizes)]
    yield ["stage", *(f"{count:,} samples" for count in sizes), *spans, "ratio", f"{sizes[-1]:,}, on the clock"]
    for stage, costs in found.items():
        taken, ratio = medians(costs, "processor"), time_growth(costs)
        yield [
            stage,
            *(f"{seconds:.1f} s" for seconds in taken.values()),
            *(f"{seconds * 1e6:.0f} µs" for seconds in added(taken)),
            "" if ratio is None else f"{ratio:.2f}",
            f"{medians(costs, 'seconds')[sizes[-1]]:.0f} s",
        ]


def memory_rows(found: Found) -> Iterator[list[str]]:
    """Heads, and the memory that each stage takes at most."""
    sizes = list(next(iter(found.values())))
    yield ["stage", *(f"{count:,} samples" for count in sizes), "ratio of the last two", "bytes for an added sample"]
    for stage, costs in found.items():
        peaks = medians(costs, "peak_mib")
        shown = [f"{value:.0f} MiB" for value in peaks.values()]
        yield [stage, *shown, f"{memory_growth(costs):.2f}", f"{added(peaks)[-1] * 2**20:.0f}"]


def beyond(found: Found) -> list[str]:
    """What is more than the limits allow, a line for each stage and figure."""
    lines = []
    for stage, costs in found.items():
        slower, larger = time_growth(costs), memory_growth(costs)
        if slower is not None and slower > TIME_LIMIT:
            lines.append(f"{stage}: an added sample takes {slower:.2f} times the processor time, at most {TIME_LIMIT}")
        if larger > MEMORY_LIMIT:
            lines.append(f"{stage}: {larger:.2f} times the memory, at most {MEMORY_LIMIT}")
    return lines


def to_json(found: Found) -> dict[str, Any]:
    """What is saved as `stages`."""
    return {
        stage: {count: [asdict(cost) for cost in costs] for count, costs in sizes.items()}
        for stage, sizes in found.items()
    }


def from_json(stages: Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]) -> Found:
    """What `to_json` gave, read back."""
    return {
        stage: {int(count): [Cost(**cost) for cost in costs] for count, costs in sizes.items()}
        for stage, sizes in stages.items()
    }


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option(
    "--largest",
    type=click.IntRange(min=sorted(SIZES)[1]),
    default=max(SIZES),
    show_default=True,
    help="Leave out what is larger.",
)
@click.option("--formats", default="webdataset", show_default=True, help=f"Of {', '.join(FORMATS.names)}, with commas.")
@click.option("--quick", is_flag=True, help="Few samples, to see that it works.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(largest: int, formats: str, quick: bool, output: Path) -> None:
    sizes = {32: 1, 64: 1} if quick else {size: times for size, times in SIZES.items() if size <= largest}
    found: Found = {}
    for count, times in sizes.items():
        for _ in range(times):
            with tempfile.TemporaryDirectory() as folder:
                for stage, cost in measure(Path(folder), count, formats.split(",")):
                    found.setdefault(stage, {}).setdefault(count, []).append(cost)
                    click.echo(f"{count:>9,} {stage:<20} {cost}", err=True)
        if count > min(sizes):  # what is there by then is worth keeping
            save(output, {"machine": {**machine("pyarrow"), "threads": 1}, "stages": to_json(found)})
    show(time_rows(found), "Time")
    show(memory_rows(found), "Peak memory")
    if not quick and (lines := beyond(found)):
        raise SystemExit("\n".join(lines))


if __name__ == "__main__":
    main()
