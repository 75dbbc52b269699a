"""Training the config's teacher on labels: how the demo, the examples and the benchmarks make theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.distill.batches import BatchPlan
from pipeline.distill.criterion import Criterion
from pipeline.distill.loop import Recipe, Segment, State, epoch_steps, fit
from pipeline.distill.optim import make_optimizer
from pipeline.distill.pool import Window
from pipeline.models import count_parameters, freeze, load_model, pick_device, weights_bytes
from pipeline.progress import Progress, Silent
from pipeline.sources import Samples, open_samples
from pipeline.storage import Folder
from pipeline.work.setup import predict
from schemas.config import Config
from schemas.errors import UserError
from schemas.registry import LOSSES


@dataclass(frozen=True)
class Taught:
    """A trained teacher: its accuracy on `data.eval` (a fraction), and its number of weights."""

    accuracy: float
    weights: int


class LabelledPool:
    """A whole source in memory, with labels and without teacher outputs."""

    def __init__(self, samples: Samples, width: int, device: torch.device) -> None:
        blocks = [samples.read(chunk) for chunk in samples.chunks]
        self._stored = torch.cat([torch.from_numpy(block.stored) for block in blocks]).to(device)
        self._labels = torch.cat([torch.from_numpy(block.labels) for block in blocks]).to(device)
        self._width, self._kind = width, samples.kind
        self.sizes = [(len(self._labels), 0)]

    def load(self, index: int) -> Window:
        count = len(self._labels)
        return Window(
            stored=self._stored,
            logits=torch.zeros(count, self._width, device=self._stored.device),
            labels=self._labels,
            is_source=torch.ones(count, dtype=torch.bool).numpy(),
            to_inputs=self._kind.to_inputs,
        )


def train_teacher(
    config: Config, *, epochs: int, batch_size: int = 128, lr: float = 2e-3, progress: Progress | None = None
) -> Taught:
    """Train `[teacher]` from new weights on all of `data.train` and write it to `teacher.weights`.

    Cross-entropy, AdamW, a cosine schedule; all samples are held in memory.

    Raises:
        UserError: `teacher.weights` or `data.eval` is not set, or the data has no classes.
    """
    if config.teacher.weights is None or config.data.eval is None:
        raise UserError("to train a teacher, set teacher.weights (where it goes) and data.eval")
    device = pick_device(config.run.device)
    samples = open_samples(unlimited(config))
    if samples.classes is None:
        raise UserError("to train a teacher, set data.classes")
    teacher = load_model(
        config.teacher.model_copy(update={"weights": None}),
        config.locate,
        role="teacher",
        shape=samples.shape,
        classes=samples.classes,
        seed=config.run.seed,
        device=device,
    )
    pool = LabelledPool(samples, samples.classes, device)
    plan = BatchPlan(batch_size, None)
    recipe = Recipe(plan, Criterion(LOSSES.build("kl"), alpha=0), lr=lr, schedule="cosine", warmup=0.05)
    optimizer = make_optimizer("adamw", teacher.parameters(), lr=lr, weight_decay=1e-3, momentum=0)
    steps = epochs * epoch_steps(pool, plan)
    with torch.random.fork_rng(), (progress or Silent()).task("train teacher", steps, unit="steps") as task:
        torch.manual_seed(config.run.seed)

        def on_step(state: State) -> None:
            task.advance(1, **({"loss": state.epochs[-1]["loss"]} if state.epochs else {}))

        fit(teacher, optimizer, pool, recipe, Segment(steps, 0.0, 1.0, config.run.seed), State(), on_step)
    path = Path(config.locate(config.teacher.weights))
    Folder(str(path.parent)).write(path.name, weights_bytes(teacher))
    return Taught(_accuracy(freeze(teacher), config, device), count_parameters(teacher))


def unlimited(config: Config) -> Config:
    """The config without `data.limit`."""
    copy = config.model_copy(update={"data": config.data.model_copy(update={"limit": None})})
    copy._root = config._root
    return copy


def _accuracy(model: torch.nn.Module, config: Config, device: torch.device) -> float:
    samples = open_samples(config, "eval")
    correct = total = 0
    for chunk in samples.chunks:
        block = samples.read(chunk)
        predicted = predict(model, samples.kind, block.stored, 256, device).argmax(dim=1)
        correct += int((predicted == torch.from_numpy(block.labels)).sum())
        total += len(block.labels)
    return correct / total
