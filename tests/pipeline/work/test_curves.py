"""Learning curves for TensorBoard."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from pipeline.distill.loop import State
from pipeline.stages import cache, export, mine, train
from pipeline.work.curves import Curves
from schemas.config import Config
from schemas.errors import UserError

TRAIN = {"steps": 90, "batch_size": 8, "tensorboard": True}


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of every curve, as TensorBoard shows them."""
    accumulator: Any = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def run(config: Config) -> None:
    cache(config), mine(config), export(config), train(config)


def test_curves_go_on_from_one_training_to_the_next(configure: Callable[..., Config], tmp_path: Path) -> None:
    run(configure(train=TRAIN))
    curves = {name: read(tmp_path / "run" / "tensorboard" / name) for name in ("round-01", "round-02", "train", "mine")}
    for name, begin in (("round-01", 0), ("round-02", 30), ("train", 60)):
        assert [step for step, _ in curves[name]["loss"]] == [begin + 10, begin + 20, begin + 30]
        assert {"loss", "lr"} <= curves[name].keys()
    assert [step for step, _ in curves["mine"]["gap_after"]] == [1, 2]
    metrics = pl.read_parquet(tmp_path / "run" / "round-01" / "opponent" / "metrics.parquet")
    assert metrics["step"].to_list() == [5, 10, 15, 20, 25, 30]  # the points lie at the ends of epochs
    assert [loss for _, loss in curves["round-01"]["loss"]] == pytest.approx(metrics["loss"].gather_every(2, 1))


def test_they_change_nothing_else(
    configure: Callable[..., Config], files: Callable[[str], dict[str, bytes]], tmp_path: Path
) -> None:
    run(configure(train=TRAIN))
    with_curves = files(str(tmp_path / "run"))
    run(configure(train={**TRAIN, "tensorboard": False}, run={"output": "plain"}))
    assert files(str(tmp_path / "plain")) == {
        name: data for name, data in with_curves.items() if not name.startswith("tensorboard/")
    }
    cache(configure(train={**TRAIN, "tensorboard": False}))  # and it is the same run still


def test_what_is_done_again_after_an_interruption_is_drawn_once(
    configure: Callable[..., Config], stopped: Callable[[Callable[[], object], int], bool], tmp_path: Path
) -> None:
    config = configure(train={**TRAIN, "checkpoint_every": 7}, run={"rounds": 0})
    cache(config), export(config)
    assert stopped(lambda: train(config), 6)
    train(config)
    steps = [step for step, _ in read(tmp_path / "run" / "tensorboard" / "train")["loss"]]
    assert steps == list(range(10, 91, 10))


def test_epochs_shorter_than_the_way_between_two_points() -> None:
    drawn: list[tuple[str, float, int]] = []
    curves = Curves(SimpleNamespace(add_scalar=lambda *point: drawn.append(point)))
    state, losses = State(), [float(step**2) for step in range(1, 41)]
    for step, loss in enumerate(losses, 1):
        state.step = step
        state.sums = {"loss": state.sums.get("loss", 0.0) + loss, "steps": state.sums.get("steps", 0) + 1}
        if step % 7 == 0:
            state.epochs.append({"epoch": step // 7, "step": step, "lr": 0.1, "loss": sum(losses[step - 7 : step]) / 7})
            state.sums = {}
        curves.step(state, 0.1)
    begun = {10: 7, 20: 14, 30: 28, 40: 35}  # the epoch that each point is in
    assert [(step, value) for name, value, step in drawn if name == "loss"] == [
        (step, pytest.approx(sum(losses[begin:step]) / (step - begin))) for step, begin in begun.items()
    ]


def test_it_needs_tensorboard(configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'bpkd\[tensorboard\]'"):
        train(configure(train=TRAIN))
