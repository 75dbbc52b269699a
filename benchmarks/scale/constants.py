"""The constants of the simulation. Seconds and bytes; each is measured, see `measure`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class StageCost:
    """One stage on 28x28 images.

    Attributes:
        fixed: seconds once, in the process that makes the artifact: source and models opened, the manifest written.
        serial: seconds per source sample there: files hashed, keys compared, gaps summed up, what a training loads.
        unit: seconds per sample of a shard, in a worker: read, computed, encoded, hashed, written.
        begin: seconds until a worker takes its first shard. Of the first stage with the start of its process, of the
            others what it takes to open other inputs.
    """

    fixed: float
    serial: float
    unit: float
    begin: float


@dataclass(frozen=True)
class Constants:
    """What was measured on this machine.

    Attributes:
        cores: of the machine.
        loaded: speed of a core when all are busy; 1 is that of one which is busy alone.
        stages: cache, mine and export.
        commit: seconds per shard, on the local disk.
        step: seconds per optimiser step of the opponent's training.
        manifest_bytes: per file that a manifest lists.
        file_memory: peak bytes per file in a process that finishes or reads a manifest, its report included.
        base_memory: bytes of a process with PyTorch, nothing opened.
        key_seconds: per key that is compared with the others.
        hash_bytes: per second, of source files on the local disk.
        unit_memory: peak bytes per 224x224 sample of a shard, in the worker that mines it.
        logits_bytes: per sample in a shard of teacher logits of 1,000 classes.
        store_commit: requests to an object store per shard by the process that makes the artifact.
        store_unit: requests per shard by the worker.
        store_finish: requests per shard when the artifact is finished, one after the other.
        task_seconds: that a Prefect task adds, where it does nothing.
        task_requests: to the server's API per task.
        task_events: sent to the server per task.
        task_server: seconds of the server's processor per task.
        run_requests: to the server's API per flow run.
    """

    cores: int
    loaded: float
    stages: Mapping[str, StageCost]
    commit: float
    step: float
    manifest_bytes: float
    file_memory: float
    base_memory: float
    key_seconds: float
    hash_bytes: float
    unit_memory: float
    logits_bytes: float
    store_commit: float
    store_unit: float
    store_finish: float
    task_seconds: float
    task_requests: float
    task_events: float
    task_server: float
    run_requests: float

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Constants:
        """What `dataclasses.asdict` gave."""
        stages = {name: StageCost(**cost) for name, cost in values["stages"].items()}
        return cls(**{field.name: values[field.name] for field in fields(cls)} | {"stages": stages})
