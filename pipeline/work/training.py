"""One training segment as an artifact: resumed from its checkpoint, committed with weights, state and metrics."""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import Any

import polars as pl
import torch
from safetensors.torch import load, save

from pipeline.artifacts.artifact import Artifact
from pipeline.distill.batches import BatchPlan
from pipeline.distill.criterion import Criterion
from pipeline.distill.loop import Recipe, Segment, State, epoch_steps, fit
from pipeline.distill.optim import make_optimizer
from pipeline.distill.pool import Pool
from pipeline.distill.ranks import ALONE, Ranks
from pipeline.models import AnyModel, fit_weights, weights_bytes
from pipeline.progress import Progress
from pipeline.seeds import derive_seed
from pipeline.shards.rows import RowFormat
from pipeline.storage import Folder
from pipeline.work.checkpoint import pack, pack_optimizer, rank_state, unpack, unpack_optimizer
from pipeline.work.curves import Curves, training_curves
from schemas.anyway import ANYWAY
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import Manifest
from schemas.registry import LOSSES

MODEL, OPTIMIZER, METRICS, CHECKPOINT = "model.safetensors", "optimizer.safetensors", "metrics.parquet", "checkpoint"


def training_settings(config: Config) -> dict[str, Any]:
    """`[train]` as far as it decides the weights of a segment."""
    return config.train.model_dump(mode="json", exclude={"init", *ANYWAY["train"]})


def recipe(config: Config, task: str) -> Recipe:
    """The loop's settings as `[train]` has them, for data of `task`.

    Raises:
        UserError: the loss does not suit the task.
    """
    train = config.train
    if task != config.data.task:
        raise UserError(f'the data set is for {task}, the config for {config.data.task}; set data.task = "{task}"')
    loss = LOSSES.build(train.loss or "kl", train.loss_options, temperature=train.temperature)
    return Recipe(
        plan=batch_plan(config),
        criterion=Criterion(loss, train.alpha, regression=task == "regression"),
        lr=train.lr,
        schedule=train.schedule,
        warmup=train.warmup,
    )


def segment(config: Config, pool: Pool, number: int, count: int, seed: int) -> Segment:
    """Segment `number` (from 0) of `count` equal ones that share the whole budget."""
    steps = segment_steps(config, epoch_steps(pool, batch_plan(config)), number, count)
    return Segment(steps=steps, begin=number / count, end=(number + 1) / count, seed=seed)


def segment_steps(config: Config, epoch: int, number: int, count: int) -> int:
    """Steps of segment `number` (from 0) of `count`, where `epoch` steps are a pass over its samples.

    At least one: a config has as many steps as there are trainings.
    """
    train = config.train
    if train.epochs is not None:
        return max(round(train.epochs / count * epoch), 1)
    total = train.steps or 0
    return round(total * (number + 1) / count) - round(total * number / count)


def batch_plan(config: Config) -> BatchPlan:
    """How batches are made up, as `[train]` has it."""
    train = config.train
    return BatchPlan(train.batch_size, None if train.source_fraction == "natural" else train.source_fraction)


def train_segment(
    artifact: Artifact,
    student: AnyModel,
    pool: Pool,
    config: Config,
    rows: RowFormat,
    part: Segment,
    *,
    labelled: int,
    title: str,
    curve: str,
    progress: Progress,
    previous: Folder | None = None,
    ranks: Ranks = ALONE,
) -> Manifest:
    """Train `student` in place and finish `artifact` with its weights, optimiser state and metrics per epoch.

    Args:
        artifact: not yet complete; a checkpoint in it is taken up. Used on rank 0 alone.
        rows: format of the pool's samples.
        labelled: how many of them have a label.
        title, curve: its names for the progress and for TensorBoard.
        previous: folder of the segment that this one goes on from, None to begin with new optimiser state.
        ranks: that train together; each has the same student, pool and settings.

    Raises:
        UserError: there is nothing to train on, alpha = 0 and no label is known, or a batch has fewer samples than
            there are ranks.
    """
    train, device = config.train, student.device
    optimizer, how = ranks.every(lambda: _begin(student, pool, config, rows, labelled, title, ranks))
    state = State()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        # Dropout has to differ between ranks.
        torch.manual_seed(derive_seed(part.seed, "rank", ranks.index) if ranks.index else part.seed)
        saved = ranks.first(lambda: artifact.load_state(CHECKPOINT))
        if saved is not None:
            state = unpack(saved, student, optimizer, device, ranks.index, ranks.count)
            progress.say(f"{title}: resumed at step {state.step} of {part.steps}")
        elif previous is not None:
            unpack_optimizer(optimizer, load(ranks.every(lambda: previous.read(OPTIMIZER))))
        drawn = training_curves(config, curve, part, state.step) if ranks.index == 0 else nullcontext(Curves(None))
        with progress.task(title, part.steps, unit="steps") as task, drawn as curves:
            task.skip(state.step)

            def on_step(state: State) -> None:
                task.advance(1, **_figures(state))
                curves.step(state, optimizer.param_groups[0]["lr"])
                if state.step % train.checkpoint_every == 0 and state.step < part.steps:
                    others = ranks.gather(rank_state(state, device))[1:]
                    ranks.first(
                        lambda: artifact.save_state(CHECKPOINT, pack(student, optimizer, state, device, others))
                    )

            fit(ranks.wrap(student), optimizer, pool, how, part, state, on_step, ranks)
    return ranks.first(lambda: _finish(artifact, student, optimizer, state))


def _begin(
    student: AnyModel, pool: Pool, config: Config, rows: RowFormat, labelled: int, title: str, ranks: Ranks
) -> tuple[torch.optim.Optimizer, Recipe]:
    """The optimiser, new, and the loop's settings, once it is sure that there is something to train."""
    train = config.train
    if not pool.sizes:
        raise UserError(f"{title}: there is no sample to train on")
    if train.alpha == 0 and not labelled:
        raise UserError(f"{title}: train.alpha = 0 trains on labels alone, and no sample has a label")
    if train.batch_size < ranks.count:
        raise UserError(
            f"train.batch_size = {train.batch_size} is that of all {ranks.count} ranks together; "
            f"set it to at least {ranks.count}, or start fewer"
        )
    trainable = [parameter for parameter in student.parameters() if parameter.requires_grad]
    if not trainable:
        raise UserError("the student has no weights to train: its factory has frozen them all")
    optimizer = make_optimizer(
        train.optimizer, trainable, lr=train.lr, weight_decay=train.weight_decay, momentum=train.momentum
    )
    return optimizer, recipe(config, rows.task)


def _finish(artifact: Artifact, student: AnyModel, optimizer: torch.optim.Optimizer, state: State) -> Manifest:
    files = [
        artifact.write(MODEL, weights_bytes(student)),
        artifact.write(OPTIMIZER, save(pack_optimizer(optimizer))),
        artifact.write(METRICS, _parquet(pl.DataFrame(state.epochs))),
    ]
    artifact.commit("segment", files)
    details = {"steps": state.step, "epochs": len(state.epochs), "loss": state.epochs[-1]["loss"]}
    return artifact.finish(["segment"], details)


def load_trained(url: str, student: AnyModel) -> None:
    """Put the weights of a finished segment into `student`."""
    fit_weights(student, load(Folder(url).read(MODEL)), f"{url}/{MODEL}")


def _figures(state: State) -> dict[str, float]:
    return {"loss": state.epochs[-1]["loss"]} if state.epochs else {}


def _parquet(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_parquet(sink)
    return sink.getvalue()
