"""Learning curves for TensorBoard, beside the artifacts: event files hold times, which differ in each run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from pipeline import layout
from pipeline.distill.loop import Segment, State
from schemas.config import Config
from schemas.errors import UserError

EVERY = 10
"""Steps between two points: reading a loss from a device makes the next step wait."""


class Curves:
    """The curves of one training.

    Args:
        writer: of torch.utils.tensorboard; None draws nothing.
        begin: steps of the whole budget that earlier trainings have done.
    """

    def __init__(self, writer: Any, begin: int = 0) -> None:
        self._writer, self._begin = writer, begin
        self._before: dict[str, float] = {}
        self._epochs = 0

    def step(self, state: State, rate: float) -> None:
        """Draw the means since the last point, or the start of the epoch where that is later, and the learning rate."""
        if self._writer is None or state.step % EVERY:
            return
        # An epoch that has just ended has no sums any more, but means.
        sums = {name: float(value) for name, value in state.sums.items()}
        if sums:
            before = self._before if self._epochs == len(state.epochs) else {}
            steps = sums["steps"] - before.get("steps", 0)
            means = {name: (sums[name] - before.get(name, 0)) / steps for name in sums if name != "steps"}
        else:
            means = {name: value for name, value in state.epochs[-1].items() if name not in ("epoch", "step", "lr")}
        self._before, self._epochs = sums, len(state.epochs)
        for name, value in {**means, "lr": rate}.items():
            self._writer.add_scalar(name, value, self._begin + state.step)


@contextmanager
def training_curves(config: Config, name: str, part: Segment, done: int) -> Iterator[Curves]:
    """The curves of a training.

    Args:
        config: says whether there are any.
        name: of it, as "round-01" or "train".
        part: of the budget that it is.
        done: steps of it that were done before; what was drawn beyond is hidden.
    """
    begin = round(part.begin / (part.end - part.begin) * part.steps)
    with _writer(config, name, begin + done) as writer:
        yield Curves(writer, begin)


def draw_gaps(config: Config, round_: int, gaps: Mapping[str, Mapping[str, float]]) -> None:
    """The mean gaps of a round."""
    with _writer(config, "mine", round_) as writer:
        for name, values in gaps.items() if writer is not None else ():
            writer.add_scalar(name, values["mean"], round_)


def check_curves(config: Config) -> None:
    """Raise UserError where curves are asked for and TensorBoard is not installed."""
    if not config.train.tensorboard:
        return
    try:
        import_module("torch.utils.tensorboard")
    except ImportError:
        raise UserError("train.tensorboard needs TensorBoard; pip install 'bpkd[tensorboard]'") from None


@contextmanager
def _writer(config: Config, name: str, from_: int) -> Iterator[Any]:
    """A writer of events from step `from_` on; None where none are asked for."""
    if not config.train.tensorboard:
        yield None
        return
    tensorboard = import_module("torch.utils.tensorboard")
    with tensorboard.SummaryWriter(f"{layout.tensorboard(config.output)}/{name}", purge_step=from_) as writer:
        yield writer
