"""What does a command take to start? `bpkd --help`, `bpkd verify` of few samples, and a stage until its first shard.

    python benchmarks/start_up.py

Every call is a process of its own, on 64 images and with a teacher of few weights, so that hardly anything is left but
what Python, the imports and the models take. Calls are made in turn, and what is shown are medians: of the time of the
processor, which other programs lengthen little, and on the clock. Writes benchmarks/results/start_up.json, which
`python benchmarks/performance.py` puts into docs/performance.md.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click
import psutil
from images import write_source
from timing import machine, save, show

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "start_up.json"
SAMPLES = 64
LOOK = 0.005
"""Seconds between two looks at the process."""
CONFIG = """
[run]
output = "run"
rounds = 0
[data]
train = "source"
[teacher]
factory = "zoo:cnn"
kwargs = { classes = 10, width = 8, depth = 2 }
[student]
factory = "zoo:cnn"
kwargs = { classes = 10, width = 8, depth = 2 }
"""


@dataclass(frozen=True)
class Taken:
    """Seconds of a call: of the processor, and on the clock."""

    processor: float
    clock: float


def taken(folder: Path, arguments: Sequence[str], first: str = "") -> Taken:
    """What a call of `bpkd` takes from its process's begin to its end, or to the first file that matches `first`."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    command = [sys.executable, "-m", "cli.main", *arguments, "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        watched, ended = psutil.Process(process.pid), False
        while not ended:
            # Ended, it is a zombie, whose times can still be read, until it is polled.
            times, clock = watched.cpu_times(), time.perf_counter() - start
            ended = watched.status() == psutil.STATUS_ZOMBIE or bool(first and any(folder.glob(first)))
            if not ended:
                time.sleep(LOOK)
    if process.returncode:
        raise SystemExit(f"bpkd {' '.join(arguments)} failed")
    return Taken(times.user + times.system, clock)


def measure(folder: Path, rounds: int) -> dict[str, list[Taken]]:
    write_source(folder / "source", SAMPLES)
    (folder / "config.toml").write_text(CONFIG)
    for stage in ("cache", "export"):
        taken(folder, [stage, "config.toml", "--set", "run.output=made"])
    calls = {
        "`bpkd --help`": partial(taken, folder, ["--help"]),
        f"`bpkd verify`, {SAMPLES} samples": partial(taken, folder, ["verify", "made/dataset"]),
        "`bpkd cache`, until the first shard": partial(
            taken, folder, ["cache", "config.toml"], "run/teacher-logits/*.parquet"
        ),
    }
    found: dict[str, list[Taken]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            found[name].append(call())
    return found


def rows(found: Mapping[str, Sequence[Taken]]) -> Iterator[list[str]]:
    """Heads, and what is shown of every call."""
    yield ["call", "seconds of the processor", "on the clock"]
    for name, times in found.items():
        figures = ([time.processor for time in times], [time.clock for time in times])
        yield [name, *(f"{statistics.median(seconds):.2f}" for seconds in figures)]


def from_json(found: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, list[Taken]]:
    """What was saved, read back."""
    return {name: [Taken(**one) for one in times] for name, times in found.items()}


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--rounds", default=5, show_default=True)
@click.option("--quick", is_flag=True, help="Once, to see that it works.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(rounds: int, quick: bool, output: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), 1 if quick else rounds)
    calls = {name: [asdict(one) for one in times] for name, times in found.items()}
    save(output, {"machine": machine(), "calls": calls})
    show(rows(found))


if __name__ == "__main__":
    main()
