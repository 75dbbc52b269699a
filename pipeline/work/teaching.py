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
from pipeline.models import Wrapped, count_parameters, freeze, load_model, pick_device, weights_bytes
from pipeline.progress import Progress, Silent
from pipeline.sources import Samples, open_samples
from pipeline.storage import Folder
from pipeline.work.setup import predict
from schemas.config import Config
from schemas.errors import UserError
from schemas.registry import LOSSES
from schemas.sections import ModelConfig


@dataclass(frozen=True)
class Taught:
    """A trained teacher: its accuracy on `data.eval` (a fraction), and its number of weights."""

    accuracy: float
    weights: int


class LabelledPool:
    """A whole source in memory, with labels and without teacher outputs; `labelled` is how many labels are known."""

    def __init__(self, samples: Samples, width: int, device: torch.device) -> None:
        blocks = [samples.read(chunk) for chunk in samples.chunks]
        self._stored = torch.cat([torch.from_numpy(block.stored) for block in blocks]).to(device)
        self._labels = torch.cat([torch.from_numpy(block.labels) for block in blocks]).to(device)
        self._width, self._kind = width, samples.kind
        self.sizes = [(len(self._labels), 0)]
        self.labelled = int((self._labels >= 0).sum())

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

    `data.limit` and `data.labels` are for the student and are left aside here. Cross-entropy, AdamW, a cosine schedule;
    all samples are held in memory.

    Raises:
        UserError: `teacher.weights` or `data.eval` is not set, or the data has no classes or no labels.
    """
    if config.teacher.weights is None or config.data.eval is None:
        raise UserError("to train a teacher, set teacher.weights (where it goes) and data.eval")
    device = pick_device(config.run.device)
    samples = open_samples(_all_labelled(config))
    if samples.classes is None:
        raise UserError("to train a teacher, set data.classes")
    pool = LabelledPool(samples, samples.classes, device)
    if not pool.labelled:
        raise UserError(f"to train a teacher, data.train must have labels; {config.data.train} has none")
    teacher = _load(config.teacher.model_copy(update={"weights": None}), config, samples, device)
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
    return measure_teacher(config)


def measure_teacher(config: Config) -> Taught:
    """Measure the teacher that lies in `teacher.weights`.

    Raises:
        UserError: it cannot be loaded, or `data.eval` is missing or has no labels.
    """
    device = pick_device(config.run.device)
    samples = open_samples(config, "eval")
    teacher = freeze(_load(config.teacher, config, samples, device))
    correct = total = 0
    for chunk in samples.chunks:
        block = samples.read(chunk)
        known = block.labels >= 0
        if known.any():
            predicted = predict(teacher, samples.kind, block.stored[known], 256, device).argmax(dim=1).numpy()
            correct += int((predicted == block.labels[known]).sum())
            total += int(known.sum())
    if not total:
        raise UserError(f"to measure a teacher, data.eval must have labels; {config.data.eval} has none")
    return Taught(correct / total, count_parameters(teacher))


def _load(section: ModelConfig, config: Config, samples: Samples, device: torch.device) -> Wrapped:
    return load_model(
        section,
        config.locate,
        role="teacher",
        shape=samples.shape,
        classes=samples.classes,
        seed=config.run.seed,
        device=device,
    )


def _all_labelled(config: Config) -> Config:
    """The config with every sample of `data.train` and its label."""
    return config.model_copy(update={"data": config.data.model_copy(update={"limit": None, "labels": True})})
