"""What do the stages cost beside the models? `bpkd cache` and `bpkd mine` against the bare models on tensors in memory.

    python benchmarks/end_to_end.py

The stages also read and decode images, encode and hash what they make, write and commit shards. The bare climb ends
with labelling its rounded ends, too, as stored logits belong to stored bytes. Models are the same, as the stages
prepare them, which takes a stage some tens of milliseconds before it begins: of few samples that is much. Times are
taken in turn, and what is shown are ratios of medians. Writes benchmarks/results/end_to_end.json, which
`python benchmarks/performance.py` puts into docs/performance.md.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from images import write_source
from timing import Seconds, machine, save, show, told_in_turn

from pipeline.mining import Bounds
from pipeline.models import freeze
from pipeline.plan.watch import Watch
from pipeline.sources import open_samples
from pipeline.stages import cache, mine
from pipeline.work.climbers.base import build_objective, climb
from pipeline.work.setup import autocast, open_pair, prepared
from schemas.config import Config, parse_config

RESULT = Path(__file__).parent / "results" / "end_to_end.json"
CPU = torch.device("cpu")
MODELS: dict[str, dict[str, Any]] = {
    "small CNN": {"factory": "zoo:cnn", "kwargs": {"classes": 10, "width": 128, "depth": 5}},
    "small ResNet": {"factory": "zoo:resnet", "kwargs": {"classes": 10, "channels": 1, "depth": 20, "width": 16}},
    "tiny CNN": {"factory": "zoo:cnn", "kwargs": {"classes": 10, "width": 16, "depth": 4}},
}
STUDENT = {"factory": "zoo:cnn", "kwargs": {"classes": 10, "width": 16, "depth": 4}}


def config_of(root: Path, teacher: dict[str, Any], precision: str, samples: int) -> Config:
    return parse_config(
        {
            "run": {"output": "run", "rounds": 1, "device": "cpu", "precision": precision},
            "data": {"train": "source", "limit": samples, "shard_size": 1000},
            "teacher": teacher,
            "student": STUDENT,
            "train": {"steps": 2},
        },
        root=root,
    )


def stage(call: Callable[..., Any], title: str, config: Config) -> float:
    """Seconds of the task of that title, all of it made anew."""
    watch = Watch()
    call(config, restart=True, progress=watch)
    return next(track.seconds for track in watch.tracks if track.title == title)


def bare(config: Config, stored: np.ndarray[Any, Any], climbing: bool) -> float:
    """Seconds of the teacher's forward passes alone, or of climbs and of labelling their ends."""
    samples = open_samples(config)
    pair = [freeze(model) for model in open_pair(config, samples, CPU)[:2]]
    teacher, student = (prepared(config, model, samples.kind, samples.shape) for model in pair)
    inputs = samples.kind.to_inputs(stored)
    began = time.perf_counter()
    with autocast(config, CPU):
        if not climbing:
            with torch.inference_mode():
                for batch in inputs.split(config.cache.batch_size):
                    teacher(batch)
            return time.perf_counter() - began
        for batch in inputs.split(config.mine.batch_size):
            end = climb(config.mine, teacher, student, batch, batch, Bounds(0.0, 1.0))
            with torch.inference_mode():
                rounded = (end.inputs * 255).round() / 255
                build_objective(config.mine)(teacher(rounded).float(), student(rounded).float())
    return time.perf_counter() - began


def measure(root: Path, cached: int, mined: int, rounds: int, say: Callable[[str], None]) -> dict[str, Seconds]:
    write_source(root / "source", max(cached, mined))
    found: dict[str, Seconds] = {}
    for name, teacher in MODELS.items():
        for precision in ("fp32", "bf16"):
            say(f"{name}, {precision}")
            config, stored = _opened(root, teacher, precision, cached)
            calls: dict[str, Callable[[], float]] = {
                "cache": partial(stage, cache, "cache", config),
                "forward": partial(bare, config, stored, False),
            }
            seconds = told_in_turn(calls, rounds)
            config, stored = _opened(root, teacher, precision, mined)
            cache(config, restart=True)
            calls = {
                "mine": partial(stage, mine, "round 1 mine", config),
                "climb": partial(bare, config, stored, True),
            }
            found[f"{name}, {precision}"] = {**seconds, **told_in_turn(calls, rounds)}
    return found


def _opened(root: Path, teacher: dict[str, Any], precision: str, samples: int) -> tuple[Config, np.ndarray[Any, Any]]:
    config = config_of(root, teacher, precision, samples)
    source = open_samples(config)
    return config, np.concatenate([source.read(chunk).stored for chunk in source.chunks])


def rows(found: dict[str, Seconds], cached: int, mined: int) -> Iterator[list[str]]:
    """Heads, and what is shown of each teacher, of so many samples."""
    yield ["teacher", "cache, samples/s", "of the bare forward", "mine, climbs/s", "of the bare climb"]
    for name, seconds in found.items():
        taken = {what: statistics.median(times) for what, times in seconds.items()}
        shown = [name]
        for what, without, samples in (("cache", "forward", cached), ("mine", "climb", mined)):
            shown += [f"{samples / taken[what]:,.0f}", f"{taken[without] / taken[what]:.0%}"]
        yield shown


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--cached", default=20_000, show_default=True, help="Samples that the teacher labels.")
@click.option("--mined", default=2000, show_default=True, help="Of which so many are climbed from.")
@click.option("--rounds", default=2, show_default=True)
@click.option("--quick", is_flag=True, help="Few samples, to see that it works.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(cached: int, mined: int, rounds: int, quick: bool, output: Path) -> None:
    cached, mined, rounds = (64, 64, 1) if quick else (cached, mined, rounds)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), cached, mined, rounds, lambda message: click.echo(message, err=True))
    save(output, {"machine": machine(), "cached": cached, "samples": mined, "seconds": found})
    show(rows(found, cached, mined))


if __name__ == "__main__":
    main()
