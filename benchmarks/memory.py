"""Does memory grow with the data set? Peak memory of every stage on 60,000 samples against that on 6,000.

    python benchmarks/memory.py

Makes 28x28 images, runs each stage as a process of its own and reads the peak of its resident memory from the system.
Everything that bounds memory stays at its default, and so the small run does not fill the window in which export
shuffles (64 MiB), nor that in which a training holds its samples decoded (train.memory_mb); "train, streamed" has a
small one. Writes benchmarks/results/memory.json.
"""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image, ImageFilter
from rich.console import Console
from rich.table import Table

from schemas.registry import FORMATS

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "memory.json"
# Each on as many samples: export writes the source and as many auxiliary samples, train reads the source alone.
COMMANDS = {
    "cache": ["cache", "{config}"],
    "mine": ["mine", "{config}"],
    "export": ["export", "{config}"],
    "verify": ["verify", "{run}/dataset"],
    "(export of the source)": ["export", "{config}", "--set", "run.rounds=0", "--output", "{run}/source"],
    "train": ["train", "{config}", "--set", "train.init=fresh", "--dataset", "{run}/source"],
    "train, streamed": [
        *["train", "{config}", "--set", "train.init=fresh", "--dataset", "{run}/source"],
        *["--set", "train.memory_mb=2", "--output", "{run}/streamed"],
    ],
}
STAGES = [name for name in COMMANDS if not name.startswith("(")]
LIMIT = 1.15
"""What the large run may take of the small one's memory, at most."""

CONFIG = """
[run]
output = "run"
rounds = 1
[data]
train = "source"
[teacher]
factory = "zoo:cnn"
kwargs = {{ classes = 10, width = 8, depth = 2 }}
[student]
factory = "zoo:cnn"
kwargs = {{ classes = 10, width = 4, depth = 2 }}
[mine]
steps = 1
[export]
format = "{format}"
[train]
steps = 200
"""


def write_source(folder: Path, count: int, rows: int = 6000) -> None:
    """`count` smooth grey images in files of `rows`."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for start in range(0, count, rows):
        pixels = generator.integers(0, 256, (min(rows, count - start), 28, 28), np.uint8)
        images = [{"bytes": _png(image), "path": None} for image in pixels]
        labels = pa.array(generator.integers(0, 10, len(images)), pa.int64())
        column = pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        table = pa.table({"image": column, "label": labels})
        pq.write_table(table, folder / f"{start // rows:05d}.parquet", row_group_size=1000)


def _png(pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(3)).save(sink, "PNG")
    return sink.getvalue()


def measure(folder: Path, count: int, export_format: str) -> dict[str, float]:
    """Peak MiB of every command on `count` samples."""
    write_source(folder / "source", count)
    (folder / "config.toml").write_text(CONFIG.format(format=export_format))
    places = {"config": folder / "config.toml", "run": folder / "run"}
    return {name: peak([part.format(**places) for part in command]) for name, command in COMMANDS.items()}


def peak(arguments: list[str]) -> float:
    """MiB that a command takes at most."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *arguments, "--quiet"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bpkd {' '.join(arguments)} failed")
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@click.command(help=__doc__)
@click.option("--small", default=6000, show_default=True, help="Samples of the small run.")
@click.option("--large", default=60000, show_default=True, help="Samples of the large run.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(small: int, large: int, output: Path) -> None:
    results, worst = {}, 0.0
    for export_format in FORMATS.names:
        peaks = {}
        for count in (small, large):
            with tempfile.TemporaryDirectory() as folder:
                peaks[count] = measure(Path(folder), count, export_format)
        ratios = {stage: peaks[large][stage] / peaks[small][stage] for stage in STAGES}
        show(export_format, peaks, ratios)
        results[export_format] = {"peak_mib": peaks, "ratio": ratios}
        worst = max(worst, *ratios.values())
    machine = {"platform": platform.platform(), "cores": os.cpu_count(), "torch": torch.__version__}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"formats": results, "limit": LIMIT, "machine": machine}, indent=1) + "\n")
    if worst > LIMIT:
        raise SystemExit(f"the large run takes up to {worst:.2f} times the memory, more than {LIMIT}")


def show(export_format: str, peaks: dict[int, dict[str, float]], ratios: dict[str, float]) -> None:
    """Print one table."""
    counts = [f"{count:,} samples" for count in peaks]
    table = Table("stage", *counts, "ratio", "bytes per added sample", title=f"Peak memory, {export_format}")
    small, large = peaks
    for stage in STAGES:
        added = (peaks[large][stage] - peaks[small][stage]) * 2**20 / (large - small)
        megabytes = [f"{peak[stage]:.0f} MiB" for peak in peaks.values()]
        table.add_row(stage, *megabytes, f"{ratios[stage]:.2f}", f"{added:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
