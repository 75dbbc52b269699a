"""What 1 M, 100 M and 1 B samples cost, and what breaks first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scale.constants import Constants
from scale.plan import (
    DEFAULT_MEMORY,
    DEFAULT_SHARD,
    LATENCY,
    MAX_SHARD,
    ROUNDS,
    SAMPLE,
    SEEN,
    TASKS,
    UPDATE,
    WINDOW,
    Device,
    Work,
    shard_size,
    workers_per_gpu,
    works,
)
from scale.simulate import Crew, simulate
from schemas.manifest import MAX_FILES

SAMPLES = (1_000_000, 100_000_000, 1_000_000_000)
GPUS = (1, 8, 64)
PRECISION = "bf16"
LOGITS = 2 * 1000
"""Bytes of the teacher's logits in a row of the data set."""
KEY_BYTES = 9
"""Of memory per key that is compared: its hash, and a mark where it comes twice."""
STAGE_FLOWS = 5
"""Flow runs of a run besides its own, one for each stage."""
ROOM = 64 * 2**30
"""Memory of the process that makes the artifacts, in the table of limits."""


def project(constants: Constants, device: Device, samples: int) -> dict[str, Any]:
    """One run of so many samples, with what it takes set."""
    size = shard_size(samples)
    work = works(constants, device, PRECISION)
    per_gpu = workers_per_gpu(work["mine"], device)
    shards = -(-samples // size)
    seconds = {gpus: _seconds(constants, device, work, samples, size, gpus, per_gpu) for gpus in GPUS}
    tasks = (ROUNDS + 2) * min(TASKS, shards)
    return {
        "samples": samples,
        "shard_size": size,
        "workers_per_gpu": per_gpu,
        "gpu_hours": _gpu_hours(device, work, samples),
        "hours": {
            gpus: {name: value / 3600 for name, value in {**stages, "all": sum(stages.values())}.items()}
            for gpus, stages in seconds.items()
        },
        "bytes": stored_bytes(constants, device, samples),
        "files": {"teacher logits": shards, "auxiliary": ROUNDS * shards, "data set": (ROUNDS + 1) * shards},
        "manifest_bytes": (ROUNDS + 1) * shards * constants.manifest_bytes,
        "memory": coordinator_memory(constants, samples, shards),
        "worker_memory": constants.base_memory + size * constants.unit_memory,
        "commits_possible": 1 / (LATENCY * constants.store_commit),
        "commits_needed": {gpus: gpus * per_gpu / (work["cache"].seconds(per_gpu) * size) for gpus in GPUS},
        "tasks": tasks,
        "server": {gpus: _server(constants, tasks, sum(stages.values())) for gpus, stages in seconds.items()},
        "hash_hours": samples * device["jpeg_bytes"] / constants.hash_bytes / 3600,
        "key_hours": samples * constants.key_seconds / 3600,
    }


def _seconds(
    constants: Constants,
    device: Device,
    work: dict[str, Work],
    samples: int,
    size: int,
    gpus: int,
    per_gpu: int,
) -> dict[str, float]:
    """Of every stage, with artifacts in an object store."""
    shards = -(-samples // size)
    finish = shards * constants.store_finish * LATENCY

    def made(stage: str, units: int, per_unit: int) -> float:
        cost, crew = constants.stages[stage], _crew(constants, stage, gpus * per_gpu)
        one = work[stage].seconds(per_gpu) * per_unit + constants.store_unit * LATENCY
        return cost.fixed + simulate([one] * units, crew)

    mined = made("mine", shards, size) + finish
    # Each shard of source and rounds is a window of its own; the work of one with its rounds' stands in `works`.
    exported = made("export", shards, size) + (ROUNDS + 1) * finish
    return {
        "cache": made("cache", shards, size) + finish + samples * constants.key_seconds,
        "mine": ROUNDS * mined,
        "export": exported,
        "train": _training_seconds(device, samples, gpus),
    }


def _crew(constants: Constants, stage: str, workers: int) -> Crew:
    return Crew(workers, constants.stages[stage].begin, LATENCY * constants.store_commit, lambda busy: 1.0)


def _training_seconds(device: Device, samples: int, gpus: int) -> float:
    """Opponents and student. A window is decoded by one core, and by every rank, while the GPU works on another."""
    each = max(SEEN, samples) / (ROUNDS + 1)
    jpeg, png, step = 1 / device["jpeg_decode"], 1 / device["png_decode"], 1 / device["train"]
    opponents = ROUNDS * each * max((jpeg + png) / 2, step)  # inside of mine: one process
    return float(opponents + each * max(png, step / gpus))


def _gpu_hours(device: Device, work: dict[str, Work], samples: int) -> dict[str, float]:
    """That GPUs compute, however long they wait besides."""
    hours = {
        "cache": samples * work["cache"].gpu / 3600,
        "mine": ROUNDS * samples * work["mine"].gpu / 3600,
        "train": max(SEEN, samples) / device["train"] / 3600,
    }
    return {**hours, "all": sum(hours.values())}


def stored_bytes(constants: Constants, device: Device, samples: int) -> dict[str, float]:
    """Of every artifact, and of the source as JPEG."""
    mined = ROUNDS * samples * (device["png_bytes_mined"] + LOGITS)
    found = {
        "source": samples * device["jpeg_bytes"],
        "teacher logits": samples * constants.logits_bytes,
        "auxiliary": mined,
        "data set": samples * (device["png_bytes_source"] + LOGITS) + mined,
    }
    return {**found, "all": sum(found.values())}


def coordinator_memory(constants: Constants, samples: int, shards: int) -> float:
    """Of the process that makes the artifacts, in the stage that takes most."""
    manifest = shards * constants.file_memory
    stages = (
        manifest + samples * KEY_BYTES,
        # Those of the cache, of all rounds, and the data set's own.
        2 * (ROUNDS + 1) * manifest,
    )
    return constants.base_memory + max(stages)


def _server(constants: Constants, tasks: int, seconds: float) -> dict[str, float]:
    """Requests and events per minute, and seconds of the server's processor."""
    requests = (1 + STAGE_FLOWS) * constants.run_requests + tasks * constants.task_requests + seconds / UPDATE
    minutes = seconds / 60
    return {
        "requests_per_minute": requests / minutes,
        "events_per_minute": tasks * constants.task_events / minutes,
        "processor_seconds": tasks * constants.task_server,
    }


def limits(constants: Constants, device: Device) -> list[dict[str, Any]]:
    """What breaks, at how many samples with the defaults, and at how many with what can be set."""
    files = MAX_FILES
    work = works(constants, device, PRECISION)
    per_gpu = workers_per_gpu(work["mine"], device)
    committing = work["cache"].seconds(per_gpu) / per_gpu / (LATENCY * constants.store_commit)
    window = DEFAULT_MEMORY * 2**20 // SAMPLE // 2
    return [
        {
            "what": f"manifest of the data set: {files:,} files",
            "default": files * DEFAULT_SHARD // (ROUNDS + 1),
            "set": f"data.shard_size up to {MAX_SHARD:,}, and export.shard_size no smaller; beyond, several runs",
            "then": files * MAX_SHARD // (ROUNDS + 1),
            "unit": "samples",
        },
        {
            "what": f"manifests of cache and rounds: {files:,} files",
            "default": files * DEFAULT_SHARD,
            "set": f"data.shard_size up to {MAX_SHARD:,}",
            "then": files * MAX_SHARD,
            "unit": "samples",
        },
        {
            "what": f"commits one after the other, {LATENCY * constants.store_commit * 1000:.0f} ms each",
            "default": int(DEFAULT_SHARD * committing),
            "set": "data.shard_size",
            "then": int(MAX_SHARD * committing),
            "unit": "GPUs in cache",
        },
        {
            "what": f"keys compared in {ROOM // 2**30} GiB, {KEY_BYTES} bytes a sample",
            "default": int((ROOM - constants.base_memory) / KEY_BYTES),
            "set": "a machine with more memory for the process that caches",
            "then": None,
            "unit": "samples",
        },
        {
            "what": f"export shuffles {WINDOW:,} samples, less than a shard",
            "default": WINDOW,
            "set": "nothing: a shard of the data set is one of source or round, in another order",
            "then": None,
            "unit": "samples in a shard",
        },
        {
            "what": f"train.memory_mb = {DEFAULT_MEMORY}: two windows of {window:,} samples",
            "default": window,
            "set": "train.memory_mb to ten shards or more, as far as the GPU has room: a window of one shard has one "
            "origin, and train.source_fraction then has no effect",
            "then": None,
            "unit": "samples in a shard",
        },
    ]


def projections(constants: Constants, device: Device, samples: Sequence[int] = SAMPLES) -> dict[str, Any]:
    """All that the tables show."""
    return {
        "runs": [project(constants, device, count) for count in samples],
        "limits": limits(constants, device),
        "use": {
            name: work.gpu / (work.core + work.gpu)
            for name, work in works(constants, device, PRECISION).items()
            if work.gpu
        },
    }
