"""One training segment as an artifact: resumed from its checkpoint, committed with weights, state and metrics."""

from __future__ import annotations

import io

import polars as pl
import torch
from safetensors.torch import load, save

from pipeline.distill.batches import BatchPlan
from pipeline.distill.criterion import Criterion
from pipeline.distill.loop import Recipe, Segment, State, epoch_steps, fit
from pipeline.distill.optim import make_optimizer
from pipeline.distill.pool import Pool
from pipeline.models import Wrapped, fit_weights, weights_bytes
from pipeline.progress import Progress
from pipeline.shards.artifact import Artifact
from pipeline.storage import Folder
from pipeline.work.checkpoint import pack, pack_optimizer, unpack, unpack_optimizer
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import Manifest
from schemas.registry import LOSSES

MODEL, OPTIMIZER, METRICS, CHECKPOINT = "model.safetensors", "optimizer.safetensors", "metrics.parquet", "checkpoint"


def recipe(config: Config) -> Recipe:
    """The loop's settings as `[train]` has them."""
    train = config.train
    fraction = None if train.source_fraction == "natural" else float(train.source_fraction)
    loss = LOSSES.build(train.loss or "kl", train.loss_options, temperature=train.temperature)
    return Recipe(
        plan=BatchPlan(train.batch_size, fraction),
        criterion=Criterion(loss, train.alpha, regression=config.data.task == "regression"),
        lr=train.lr,
        schedule=train.schedule,
        warmup=train.warmup,
    )


def segment(config: Config, pool: Pool, number: int, count: int, seed: int) -> Segment:
    """Segment `number` (from 0) of `count` equal ones that share the whole budget."""
    train = config.train
    if train.epochs is None:
        total = train.steps or 0
        steps = round(total * (number + 1) / count) - round(total * number / count)
    else:
        steps = round(train.epochs / count * epoch_steps(pool, recipe(config).plan))
    return Segment(steps=max(steps, 1), begin=number / count, end=(number + 1) / count, seed=seed)


def train_segment(
    artifact: Artifact,
    student: Wrapped,
    pool: Pool,
    config: Config,
    part: Segment,
    *,
    title: str,
    progress: Progress,
    previous: Folder | None = None,
) -> Manifest:
    """Train `student` in place and finish `artifact` with its weights, optimiser state and metrics per epoch.

    Args:
        artifact: not yet complete; a checkpoint in it is taken up.
        previous: folder of the segment that this one goes on from, None to begin with new optimiser state.

    Raises:
        UserError: there is nothing to train on, or alpha = 0 and no label is known.
    """
    if not pool.sizes:
        raise UserError(f"{title}: there is no sample to train on")
    train = config.train
    if train.alpha == 0 and not config.data.labels:
        raise UserError("train.alpha = 0 trains on labels alone, and data.labels = false hides them")
    optimizer = make_optimizer(
        train.optimizer, student.parameters(), lr=train.lr, weight_decay=train.weight_decay, momentum=train.momentum
    )
    state = State()
    with torch.random.fork_rng():
        torch.manual_seed(part.seed)
        saved = artifact.load_state(CHECKPOINT)
        if saved is not None:
            state = unpack(saved, student, optimizer)
            progress.say(f"{title}: resumed at step {state.step} of {part.steps}")
        elif previous is not None:
            unpack_optimizer(optimizer, load(previous.read(OPTIMIZER)))
        with progress.task(title, part.steps, unit="steps") as task:
            task.advance(state.step)

            def on_step(state: State) -> None:
                task.advance(1, **_figures(state))
                if state.step % train.checkpoint_every == 0 and state.step < part.steps:
                    artifact.save_state(CHECKPOINT, pack(student, optimizer, state))

            fit(student, optimizer, pool, recipe(config), part, state, on_step)
    files = [
        artifact.write(MODEL, weights_bytes(student)),
        artifact.write(OPTIMIZER, save(pack_optimizer(optimizer))),
        artifact.write(METRICS, _parquet(pl.DataFrame(state.epochs))),
    ]
    artifact.commit("segment", files)
    details = {"steps": part.steps, "epochs": len(state.epochs), "loss": state.epochs[-1]["loss"]}
    return artifact.finish(["segment"], details)


def load_trained(url: str, student: Wrapped) -> None:
    """Put the weights of a finished segment into `student`."""
    fit_weights(student, load(Folder(url).read(MODEL)), f"{url}/{MODEL}")


def _figures(state: State) -> dict[str, float]:
    return {"loss": state.epochs[-1]["loss"]} if state.epochs else {}


def _parquet(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_parquet(sink)
    return sink.getvalue()
