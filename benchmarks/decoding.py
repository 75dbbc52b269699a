"""How fast are plain PNGs decoded? Many at once, as bpkd reads a chunk, against Pillow one by one.

    python benchmarks/decoding.py

From bytes in memory to pixels, of smooth images. Times are those of the processor, taken in turn, and what is shown are
medians. Writes benchmarks/results/decoding.json, which `python benchmarks/performance.py` puts into
docs/performance.md.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import click
import numpy as np
from images import smooth_png
from timing import Seconds, machine, save, show, told_in_turn

from pipeline.kinds.image import ImageKind

RESULT = Path(__file__).parent / "results" / "decoding.json"
SIZES = {"28x28 grey": (28, 28), "32x32 RGB": (32, 32, 3), "64x64 RGB": (64, 64, 3), "224x224 RGB": (224, 224, 3)}


def measure(files: int, rounds: int) -> dict[str, Seconds]:
    """PNGs to pixels, one by one as Pillow does it, and many at once."""
    kind, generator, found = ImageKind(), np.random.default_rng(0), {}
    for name, size in SIZES.items():
        pngs = [smooth_png(image) for image in generator.integers(0, 256, (files, *size), np.uint8)]
        shape = kind.decode(pngs[0]).shape
        calls = {"Pillow": partial(map, kind.decode, pngs), "bpkd": partial(kind.decode_all, pngs, shape)}
        found[name] = told_in_turn({way: partial(taken, call) for way, call in calls.items()}, rounds)
    return found


def taken(call: Callable[[], Iterable[object]]) -> float:
    """Seconds of the processor until all is decoded."""
    start = time.process_time()
    for _ in call():
        pass
    return time.process_time() - start


def rows(found: dict[str, Seconds], files: int) -> Iterator[list[str]]:
    """Heads, and what is shown of every size."""
    yield ["one PNG", "µs of a core", "with Pillow"]
    for name, seconds in found.items():
        yield [name, *(f"{statistics.median(seconds[way]) / files * 1e6:,.0f}" for way in ("bpkd", "Pillow"))]


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--files", default=1000, show_default=True, help="Of each size.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--quick", is_flag=True, help="Few files, to see that it works.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(files: int, rounds: int, quick: bool, output: Path) -> None:
    files, rounds = (20, 1) if quick else (files, rounds)
    found = measure(files, rounds)
    save(output, {"machine": machine("pillow", "numpy"), "files": files, "seconds": found})
    show(rows(found, files))


if __name__ == "__main__":
    main()
