"""The loop goes on after a break as if there had been none, whatever the windows and wherever the break."""

from __future__ import annotations

import io
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.distill.batches import BatchPlan
from pipeline.distill.criterion import Criterion
from pipeline.distill.loop import Recipe, Segment, State, epoch_steps, fit
from pipeline.distill.optim import make_optimizer
from pipeline.distill.pool import Window
from pipeline.work.checkpoint import pack, unpack
from schemas.registry import LOSSES

CPU = torch.device("cpu")


class ArrayPool:
    """Windows of random samples; counts what is loaded, and holds the loop to what it said would follow."""

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        self.sizes, self.loaded = sizes, []
        self.following: int | None = None
        self.held: weakref.ref[Window] | None = None

    def stop(self) -> None:
        self.following = None

    def load(self, index: int, following: int | None = None) -> Window:
        assert self.following == (index if self.loaded else None)
        assert self.held is None or self.held() is None
        self.following = following
        self.loaded.append(index)
        window = self.window(index)
        self.held = weakref.ref(window)
        return window

    def window(self, index: int) -> Window:
        source, auxiliary = self.sizes[index]
        count = source + auxiliary
        generator = torch.Generator().manual_seed(index)
        return Window(
            stored=torch.randn(count, 6, generator=generator),
            logits=torch.randn(count, 3, generator=generator),
            labels=torch.randint(-1, 3, (count,), generator=generator),
            is_source=np.arange(count) < source,
            to_inputs=lambda stored: stored,
        )


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


def recipe(fraction: float | None = 0.5) -> Recipe:
    return Recipe(BatchPlan(8, fraction), Criterion(LOSSES.build("kl"), 0.7), lr=0.05, schedule="cosine", warmup=0.1)


def train(pool, steps=23, optimizer="adamw", stop_at=None, saved=None):
    """(model, state, checkpoint at `stop_at`)."""
    net = model()
    optim = make_optimizer(optimizer, net.parameters(), lr=0.05, weight_decay=0.01, momentum=0.9)
    torch.manual_seed(5)
    state = unpack(saved, net, optim, CPU) if saved else State()
    checkpoint = io.BytesIO()

    def on_step(state: State) -> None:
        if state.step == stop_at:
            checkpoint.write(pack(net, optim, state, CPU))

    fit(net, optim, pool, recipe(), Segment(steps, 0.0, 1.0, seed=3), state, on_step)
    return net, state, checkpoint.getvalue()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("sizes", [[(20, 30)], [(20, 30), (9, 0), (4, 17)]], ids=["one window", "three windows"])
@pytest.mark.parametrize("stop_at", [1, 7, 8, 22])
def test_resume_gives_the_weights_and_metrics_of_an_unbroken_run(optimizer, sizes, stop_at):
    whole, state, checkpoint = train(ArrayPool(sizes), optimizer=optimizer, stop_at=stop_at)
    torch.rand(100)  # a new process has another random state
    resumed, again, _ = train(ArrayPool(sizes), optimizer=optimizer, saved=checkpoint)
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )
    assert state.epochs == again.epochs


def test_resume_does_not_load_windows_that_are_done():
    sizes = [(16, 0), (16, 0), (16, 0), (16, 0)]
    _, _, checkpoint = train(ArrayPool(sizes), steps=8, stop_at=6)
    pool = ArrayPool(sizes)
    train(pool, steps=8, saved=checkpoint)
    assert len(pool.loaded) == 1


def test_no_window_is_announced_that_is_not_loaded():
    pool = ArrayPool([(16, 0), (16, 0)])
    train(pool, steps=6)
    assert len(pool.loaded) == 3 and pool.following is None


@pytest.mark.parametrize("steps", [1, 5])
def test_a_pool_is_told_when_training_is_broken_off(steps):
    pool, net = ArrayPool([(16, 0), (16, 0), (16, 0)]), model()

    def on_step(state: State) -> None:
        if state.step == steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(net, torch.optim.SGD(net.parameters()), pool, recipe(), Segment(9, 0.0, 1.0, 3), State(), on_step)
    assert pool.loaded and pool.following is None


def test_steps_are_exact_and_an_epoch_is_a_row_of_metrics():
    pool = ArrayPool([(20, 30), (9, 0)])
    per_epoch = epoch_steps(pool, recipe().plan)
    _, state, _ = train(pool, steps=2 * per_epoch + 1)
    assert state.step == 2 * per_epoch + 1
    assert [row["step"] for row in state.epochs] == [per_epoch, 2 * per_epoch, 2 * per_epoch + 1]
    assert set(state.epochs[0]) == {"epoch", "step", "lr", "loss", "distillation", "label"}


def test_training_lowers_the_loss():
    _, state, _ = train(ArrayPool([(40, 0)]), steps=200)
    assert state.epochs[-1]["loss"] < 0.8 * state.epochs[0]["loss"]
