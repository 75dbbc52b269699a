"""`run.precision = "auto"`: bf16 where it pays, decided once for a run and kept with its logits."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from pipeline import layout
from pipeline.artifacts.artifact import recorded_fingerprint
from pipeline.models import AnyModel, prepare
from pipeline.progress import Progress
from pipeline.work.setup import autocast
from schemas.config import Config

PAYS = 1.2
"""How many times as fast bf16 has to be to be taken."""
_BATCH, _ROUNDS = 32, 3


def settled(
    config: Config,
    cache_url: str,
    progress: Progress,
    calibrate: Callable[[], float] | None = None,
    *,
    restart: bool = False,
) -> Config:
    """The config with fp32 or bf16 in place of auto.

    Args:
        config: of the run.
        cache_url: of the teacher's logits. What they were made with is what all of the run is made with.
        progress: told what a trial has found.
        calibrate: how many times as fast bf16 is here, asked where there are no logits yet, neither of this run nor of
            `run.base`; without it that is fp32.
        restart: there will be others than the logits that are there.
    """
    if config.run.precision != "auto":
        return config
    places = [] if restart else [cache_url]
    if config.run.base is not None:
        places.append(layout.teacher_logits(config.locate(config.run.base)))
    known = [found["precision"] for url in places if (found := recorded_fingerprint(url)) is not None]
    if known:
        return with_precision(config, known[0])
    if calibrate is None:
        return with_precision(config, "fp32")
    ratio = calibrate()
    taken = "bf16" if ratio >= PAYS else "fp32"
    progress.say(f"precision: {taken}, as in a short trial bf16 is {ratio:.1f} times as fast as fp32")
    return with_precision(config, taken)


def with_precision(config: Config, precision: str) -> Config:
    return config.model_copy(update={"run": config.run.model_copy(update={"precision": precision})})


def bf16_speed(config: Config, models: list[AnyModel], inputs: torch.Tensor) -> float:
    """How many times as fast forward and backward passes to the input are in bf16, as a ratio of medians.

    Args:
        config: of the run.
        models: frozen, of images or vectors.
        inputs: float32 (1, ...), of the shape of one sample and on the models' device.
    """
    batch = torch.rand(_BATCH, *inputs.shape[1:], generator=torch.Generator().manual_seed(0)).to(inputs)
    trials = {
        precision: (with_precision(config, precision), [prepare(model, inputs, precision) for model in models])
        for precision in ("fp32", "bf16")
    }
    seconds: dict[str, list[float]] = {precision: [] for precision in trials}
    for round_ in range(_ROUNDS + 1):
        for precision, (chosen, prepared) in trials.items():
            began = time.perf_counter()
            with autocast(chosen, batch.device):
                x = batch.clone().requires_grad_(True)
                gap = sum(model(x).float().square().sum() for model in prepared)
                float(torch.autograd.grad(gap, x)[0].sum())
            if round_:
                seconds[precision].append(time.perf_counter() - began)
    return statistics.median(seconds["fp32"]) / statistics.median(seconds["bf16"])
