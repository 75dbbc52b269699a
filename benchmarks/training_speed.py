"""What does a training step cost? With stored logits, with labels alone, and with the teacher running beside.

    python benchmarks/training_speed.py

The same student, batches, optimiser and number of steps, over a data set that is held in memory. Times are taken in
turn, and what is shown are ratios of medians. Writes benchmarks/results/training_speed.json, which
`python benchmarks/performance.py` puts into docs/performance.md.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from timing import Seconds, in_turn, machine, save, show

from pipeline.distill.batches import BatchPlan
from pipeline.distill.criterion import Criterion
from pipeline.distill.loop import Recipe, Segment, State, fit
from pipeline.distill.optim import make_optimizer
from pipeline.distill.pool import Batch, Pool, Window
from pipeline.models import Wrapped, count_parameters, freeze, prepare
from pipeline.models.cnn import cnn
from schemas.registry import LOSSES

RESULT = Path(__file__).parent / "results" / "training_speed.json"
STUDENTS: dict[str, Callable[[], torch.nn.Module]] = {
    "zoo:cnn": lambda: cnn(10, 1, 16, 4),
    "zoo:cnn, wider,": lambda: cnn(10, 1, 64, 4),
}
SAMPLES, BATCH = 4096, 128


class Held:
    """A pool of one window, whose logits may be made anew for every batch."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.sizes = [(len(window.labels), 0)]

    def load(self, index: int, following: int | None = None) -> Window:
        return self._window

    def stop(self) -> None: ...


class Online(Window):
    """Has a teacher label every batch."""

    def batch(self, indices: np.ndarray, rank: int = 0, ranks: int = 1) -> Batch:
        batch = super().batch(indices)
        with torch.inference_mode():
            logits = self.teacher(batch.inputs)  # type: ignore[attr-defined]
        return replace(batch, logits=logits.clone())


def window(classes: int = 10) -> Window:
    generator = torch.Generator().manual_seed(0)
    return Window(
        stored=torch.randint(256, (SAMPLES, 1, 28, 28), generator=generator, dtype=torch.uint8),
        logits=torch.randn(SAMPLES, classes, generator=generator),
        labels=torch.randint(classes, (SAMPLES,), generator=generator),
        is_source=np.ones(SAMPLES, np.bool_),
        to_inputs=lambda stored: stored.float() / 255,
    )


def train(student: torch.nn.Module, pool: Pool, alpha: float, steps: int) -> None:
    """Train a copy of `student`."""
    student = copy.deepcopy(student)
    optimizer = make_optimizer("adamw", student.parameters(), lr=1e-3, weight_decay=0.0, momentum=0.0)
    criterion = Criterion(LOSSES.build("kl", {}, temperature=4.0), alpha)
    recipe = Recipe(BatchPlan(BATCH, None), criterion, lr=1e-3, schedule="constant", warmup=0.0)
    fit(student, optimizer, pool, recipe, Segment(steps, 0.0, 1.0, 0), State())


def students() -> dict[str, torch.nn.Module]:
    """By their name and size."""
    torch.manual_seed(0)
    made = ((name, make()) for name, make in STUDENTS.items())
    return {f"{name} of {count_parameters(student):,} weights": student for name, student in made}


def measure(steps: int, rounds: int) -> dict[str, Seconds]:
    stored = window()
    online = Online(**{name: getattr(stored, name) for name in Window.__dataclass_fields__})
    teacher = freeze(Wrapped(cnn(10, 1, 128, 5)))
    object.__setattr__(online, "teacher", prepare(teacher, torch.zeros(1, 1, 28, 28), "fp32"))
    held, labelled = Held(stored), Held(online)
    found = {}
    for name, student in students().items():
        found[name] = in_turn(
            {
                "labels alone": partial(train, student, held, 0.0, steps),
                "stored logits": partial(train, student, held, 1.0, steps),
                "stored logits and labels": partial(train, student, held, 0.9, steps),
                "teacher beside": partial(train, student, labelled, 1.0, steps),
            },
            rounds,
        )
    return found


def rows(found: dict[str, Seconds], steps: int) -> Iterator[list[str]]:
    """Heads, and what is shown of each student and way."""
    yield ["student", "trained with", "steps/s", "time of labels alone"]
    for name, ways in found.items():
        for way, times in ways.items():
            taken, base = statistics.median(times), statistics.median(ways["labels alone"])
            yield [name, way, f"{steps / taken:,.0f}", f"{taken / base:.2f} x"]


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--steps", default=200, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--quick", is_flag=True, help="Few steps, to see that it works.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(steps: int, rounds: int, quick: bool, output: Path) -> None:
    steps, rounds = (5, 1) if quick else (steps, rounds)
    found = measure(steps, rounds)
    save(output, {"machine": machine(), "steps": steps, "seconds": found})
    show(rows(found, steps))


if __name__ == "__main__":
    main()
