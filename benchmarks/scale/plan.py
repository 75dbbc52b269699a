"""What is projected: a run of a ResNet-50-class teacher over 224x224 images, and what is set for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.reporting import EVERY
from flows.tracked import GROUPS
from pipeline.shards.limits import MAX_DECODED, sample_bytes
from pipeline.shards.rows import RowFormat
from pipeline.stages.export import _OVERHEAD, WINDOW_BYTES
from scale.constants import Constants
from schemas.manifest import MAX_FILES
from schemas.sections import DataConfig, TrainConfig

ROUNDS = 5
LATENCY = 0.03
"""Seconds of one request to an object store: assumed, not measured."""
SEEN = 100_000_000
"""Samples that the student is trained on in all; where the source has more, each of them once."""
RESERVE = 0.8
"""Share of the files of a manifest that is used."""
ROWS = RowFormat(kind="image", codec="fp16", width=1000, shape=(3, 224, 224), task="classification")
SAMPLE = sample_bytes(ROWS)
"""Bytes of one, decoded, with its logits."""
DEFAULT_SHARD: int = DataConfig.model_fields["shard_size"].default
DEFAULT_MEMORY: int = TrainConfig.model_fields["memory_mb"].default
MAX_SHARD = MAX_DECODED // SAMPLE
"""Samples of a shard at most: what `pipeline.shards.limits` lets pass."""
WINDOW = WINDOW_BYTES // (SAMPLE + _OVERHEAD)
"""Samples that export shuffles together; a larger shard stands alone."""
UPDATE, TASKS = EVERY, GROUPS

Device = Mapping[str, Any]
"""What `device.py` wrote."""


@dataclass(frozen=True)
class Work:
    """Seconds per sample in a worker: of its core, and of its GPU, one after the other."""

    core: float
    gpu: float

    def seconds(self, per_gpu: int) -> float:
        """Of a worker, where so many share a GPU."""
        return max(self.core + self.gpu, per_gpu * self.gpu)


def shard_size(samples: int) -> int:
    """The smallest multiple of the default with which the manifest of the data set stays within its limit."""
    parts = (ROUNDS + 1) * samples / (RESERVE * MAX_FILES)
    return DEFAULT_SHARD * max(1, math.ceil(parts / DEFAULT_SHARD))


def works(constants: Constants, device: Device, precision: str) -> dict[str, Work]:
    """What a sample takes in each stage; of export a sample of the source with its auxiliary ones."""
    decode, encode = 1 / device["jpeg_decode"], 1 / device["png_encode"]
    handled = constants.stages["export"].unit * (ROUNDS + 1)
    hashed = ROUNDS * device["png_bytes_mined"] / device["sha256_bytes"]
    return {
        "cache": Work(decode, 1 / device["forward"][precision]),
        "mine": Work(decode + encode, 1 / device["mine"][precision]),
        "export": Work(decode + encode + handled + hashed, 0.0),
    }


def workers_per_gpu(work: Work, device: Device) -> int:
    """So many that the GPU never waits for a core, as far as there are cores."""
    return max(1, min(math.ceil((work.core + work.gpu) / work.gpu), int(device["cores"])))
