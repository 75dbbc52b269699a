"""Training the config's teacher on labels: how the demo, the examples and the benchmarks make theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.distill.batches import BatchPlan
from pipeline.distill.criterion import Criterion
from pipeline.distill.loop import Recipe, Segment, State, epoch_steps, fit
from pipeline.distill.optim import make_optimizer
from pipeline.distill.pool import Window
from pipeline.metrics import make_meter
from pipeline.models import AnyModel, count_parameters, freeze, load_model, pick_device, weights_bytes
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
    """A trained teacher.

    Attributes:
        figures: on the labels of `data.eval`, as `evaluate` has them: accuracy (a fraction), nll and ece, or for a
            regression mse, mae and r2; and those of `data.metrics`.
        weights: their number.
    """

    figures: dict[str, float]
    weights: int

    @property
    def accuracy(self) -> float:
        return self.figures["accuracy"]


class LabelledPool:
    """A whole source in memory, with labels and without teacher outputs; `labelled` is how many labels are known."""

    def __init__(self, samples: Samples, width: int, device: torch.device) -> None:
        blocks = [samples.read(chunk) for chunk in samples.chunks]
        stored = np.concatenate([block.stored for block in blocks])
        labels = torch.cat([torch.from_numpy(block.labels) for block in blocks]).to(device)
        self._window = Window(
            stored=stored if stored.dtype == object else torch.from_numpy(stored).to(device),
            logits=torch.zeros(len(labels), width, device=device),
            labels=labels,
            is_source=np.ones(len(labels), np.bool_),
            to_inputs=samples.kind.to_inputs,
            lengths=samples.kind.lengths(stored),
        )
        self.sizes = [(len(labels), 0)]
        self.labelled = int((~labels.isnan().all(dim=1) if labels.is_floating_point() else labels >= 0).sum())

    def load(self, index: int, following: int | None = None) -> Window:
        return self._window

    def stop(self) -> None:
        """All is in memory."""


def train_teacher(
    config: Config, *, epochs: int, batch_size: int = 128, lr: float = 2e-3, progress: Progress | None = None
) -> Taught:
    """Train `[teacher]` on all of `data.train` and write it to `teacher.weights`.

    It starts from new weights, an `hf:` model from those that it comes with. `data.limit` and `data.labels` are for the
    student and are left aside here. Cross-entropy or squared error, AdamW, a cosine schedule; all samples are held in
    memory.

    Raises:
        UserError: `teacher.weights` or `data.eval` is not set, or the data has no classes or no labels.
    """
    if config.teacher.weights is None or config.data.eval is None:
        raise UserError("to train a teacher, set teacher.weights (where it goes) and data.eval")
    device = pick_device(config.run.device)
    samples = open_samples(_all_labelled(config))
    width, regression = _outputs(samples), config.data.task == "regression"
    if width is None:
        what = "data.train must have labels" if regression else "set data.classes"
        raise UserError(f"to train a teacher, {what}")
    pool = LabelledPool(samples, width, device)
    if not pool.labelled:
        raise UserError(f"to train a teacher, data.train must have labels; {config.data.train} has none")
    teacher = _load(config.teacher.model_copy(update={"weights": None}), config, samples, device)
    plan = BatchPlan(batch_size, None)
    recipe = Recipe(
        plan, Criterion(LOSSES.build("kl"), alpha=0, regression=regression), lr=lr, schedule="cosine", warmup=0.05
    )
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
    meter = None
    for chunk in samples.chunks:
        block = samples.read(chunk)
        if block.keys:
            outputs = predict(teacher, samples.kind, block.stored, 256, device)
            meter = meter or make_meter(config.data.task, outputs.shape[1], config.data.metrics)
            meter.update(outputs, outputs, torch.from_numpy(block.labels))
    figures = meter.compute() if meter else {}
    # What compares it with itself says nothing.
    figures = {name: value for name, value in figures.items() if name not in ("agreement", "gap")}
    if not figures:
        raise UserError(f"to measure a teacher, data.eval must have labels; {config.data.eval} has none")
    return Taught(figures, count_parameters(teacher))


def _outputs(samples: Samples) -> int | None:
    """How many outputs a teacher has, None where the data do not tell."""
    return samples.classes if samples.targets is None else samples.targets


def _load(section: ModelConfig, config: Config, samples: Samples, device: torch.device) -> AnyModel:
    return load_model(
        section,
        config.locate,
        role="teacher",
        kind=samples.kind.column,
        max_length=config.data.max_length,
        shape=samples.shape,
        classes=_outputs(samples),
        seed=config.run.seed,
        device=device,
    )


def _all_labelled(config: Config) -> Config:
    """The config with every sample of `data.train` and its label."""
    return config.model_copy(update={"data": config.data.model_copy(update={"limit": None, "labels": True})})
