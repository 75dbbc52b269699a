"""What the sections of a config must have to do with each other: each check raises ValueError with the remedy."""

from __future__ import annotations

from schemas import registry
from schemas.sections import DataConfig, MineConfig, RunConfig, TrainConfig


def check_task(data: DataConfig, mine: MineConfig, train: TrainConfig) -> None:
    """Regression has no classes."""
    if data.task != "regression":
        return
    if data.classes is not None:
        raise ValueError("data.classes: regression has none; leave it out")
    if train.loss in {"kl", "js", "dkd"}:
        raise ValueError(f'train.loss = "{train.loss}" compares class probabilities; regression takes mse')
    if mine.objective in {"kl", "js"}:
        raise ValueError(f'mine.objective = "{mine.objective}" compares probabilities; regression takes l2')
    if mine.objective == "student":
        raise ValueError('mine.objective = "student" needs an answer, that is a class; regression takes l2')


def check_kind(data: DataConfig, mine: MineConfig, train: TrainConfig) -> None:
    """What mining can do depends on the kind of data. Of the user's own kinds and climbers nothing is known."""
    text = data.kind == "text"
    if mine.output in (("input",) if text else ("embedding", "token")) and data.kind in registry.KINDS.names:
        takes = "embedding or token" if text else "input"
        raise ValueError(f'mine.output = "{mine.output}" is not for {data.kind} data; it takes {takes}')
    if not text and mine.step_rule in ("sentence", "token"):
        raise ValueError(f'mine.step_rule = "{mine.step_rule}" is for text; {data.kind} data takes l2 or sign')
    if mine.step_rule == "smooth" and data.kind in ("text", "array"):
        raise ValueError(f'mine.step_rule = "smooth" blurs images; {data.kind} data takes l2')
    if text and mine.start == "mixup":
        raise ValueError('mine.start = "mixup" mixes inputs, which words cannot be; text takes sample or noise')
    if mine.start in ("cutmix", "crop") and data.kind in ("text", "array"):
        takes = "sample or noise" if text else "sample, noise or mixup"
        raise ValueError(f'mine.start = "{mine.start}" is for images; {data.kind} data takes {takes}')
    if text and mine.bounds is not None:
        raise ValueError("mine.bounds: token embeddings have no valid range; text takes mine.ball and mine.radius")
    if mine.output == "embedding" and train.freeze_embeddings is False:
        raise ValueError(
            "train.freeze_embeddings = false would change what perturbed embeddings are added to; "
            'set it to true, or mine.output = "token"'
        )


def check_opponent(mine: MineConfig, train: TrainConfig) -> None:
    """Opponents with new weights are no part of the student's training."""
    if mine.opponent != "fresh":
        return
    if train.init == "continue":
        raise ValueError(
            'train.init = "continue" goes on from the last opponent, which with mine.opponent = "fresh" has had a '
            'share of the steps only; set train.init = "fresh"'
        )
    if mine.output == "embedding":
        raise ValueError(
            'mine.opponent = "fresh" would give the student other token embeddings than those that are perturbed; '
            'text takes it with mine.output = "token"'
        )


def check_budget(run: RunConfig, train: TrainConfig) -> None:
    """Every training has a step at least."""
    if train.steps is not None and train.steps <= run.rounds:
        raise ValueError(
            f"train.steps = {train.steps} is less than the {run.rounds + 1} trainings of {run.rounds} rounds and the "
            "last; raise it, or lower run.rounds"
        )
