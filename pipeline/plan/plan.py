"""What a run takes, before it runs: a pilot of some seconds, and arithmetic."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator

import torch

from pipeline.models import pick_device
from pipeline.plan.costs import SECONDS, WORKERS, Plan
from pipeline.plan.growing import Growing
from pipeline.plan.whole import Whole
from pipeline.progress import Progress, Silent
from pipeline.sources import Samples, open_samples
from pipeline.storage import Folder
from schemas.config import Config

_HERE = ("threads", "processes")
"""Runners whose workers see a directory of this machine."""


def plan(
    config: Config, *, workers: tuple[int, ...] = WORKERS, seconds: float = SECONDS, progress: Progress | None = None
) -> Plan:
    """Run the stages on the first samples and work out what the whole run takes. Nothing is written to its directory.

    Args:
        config: the run.
        workers: for how many to work it out.
        seconds: to measure, about. A pilot takes 64 samples and a few steps at least, however long that may be.
        progress: where to report.

    Raises:
        UserError: the config, the data or a model is wrong; nothing can be written at run.output.
    """
    progress = progress or Silent()
    Folder(config.output).refuse_file()  # before it is measured what cannot be written
    began = time.perf_counter()
    source = open_samples(config)
    source.fingerprint()
    source.check_keys()
    opening = time.perf_counter() - began
    here = config.run.runner in _HERE
    with tempfile.TemporaryDirectory(prefix="bpkd-plan-") as folder:
        growing = Growing(config, folder, source.size, here, progress)
        pilot = growing.pilot(seconds)
        cached = growing.cache(pilot, seconds / 6)
        whole = Whole(config, source.size, pilot, workers)
        stages = [whole.cache(cached, opening)]
        if config.run.rounds:
            stages.append(whole.mine())
        stages += [whole.export(), whole.train()]
        if config.data.eval is not None:
            stages.append(whole.evaluate(growing.evaluation(pilot, seconds / 10)))
    return Plan(
        stages=stages,
        device=str(pick_device(config.run.device)),
        workers=pilot.workers,
        pilot_samples=pilot.size.samples,
        source_samples=source.size,
        took=time.perf_counter() - began,
        notes=list(_notes(config, source, workers, pilot.workers, here)),
    )


def _notes(config: Config, source: Samples, workers: tuple[int, ...], measured: int, here: bool) -> Iterator[str]:
    """What the figures do not say."""
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    if measured > 1 and measured * threads > cores and pick_device(config.run.device).type == "cpu":
        yield (
            f"workers x threads = {measured} x {threads} on a machine of cores = {cores}: with "
            f"OMP_NUM_THREADS={max(cores // measured, 1)} they would not take each other's cores"
        )
    shards = len(source.chunks)
    if shards < max(workers):
        size = config.data.shard_size
        yield f"data.shard_size = {size:,} makes {shards:,} shard{'s'[: shards != 1]}: no more workers can help"
    if Folder(config.output).local is None:
        yield f"writing to {config.output} is not in it: measured on the local disk"
    if not here:
        yield f'measured with one worker of this machine, not with run.runner = "{config.run.runner}"'
    if config.run.base is not None or config.run.versions:
        yield "what a run before has left and this one may take over is not taken into account"
