"""What single pieces cost: commits, manifests, hashes, keys, and the memory of what grows."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from pipeline.artifacts.artifact import Artifact
from pipeline.artifacts.units import File, Made
from pipeline.logits.dense import DenseFp16
from pipeline.shards.parquet import table_to_parquet
from pipeline.shards.parts import shard_name
from pipeline.sources import open_samples
from pipeline.stages import cache, mine
from scale.processes import in_new_process, peak_bytes
from scale.runs import config_of
from schemas.config import parse_config
from schemas.manifest import FileEntry, Manifest, ShardReport, pack, unpack

SIDE = 224
CLASSES = 1000


def commit_seconds(count: int) -> float:
    """Of one shard's report, on the local disk."""
    times = []
    with tempfile.TemporaryDirectory() as folder, Artifact(folder, "teacher-logits", {}) as artifact:
        target = artifact.target()
        for index in range(count):
            report = target.write(Made([File(shard_name(index), b"0" * 1000)]))
            began = time.perf_counter()
            artifact.commit(shard_name(index), report.files)
            times.append(time.perf_counter() - began)
    return median(times)


def manifest_bytes(files: int = 1000) -> float:
    """Of a manifest, per file that it lists."""
    return (len(pack(_manifest(2 * files))) - len(pack(_manifest(files)))) / files


def hash_bytes() -> float:
    """Bytes per second that SHA-256 takes."""
    data = b"0" * 2**26
    began = time.perf_counter()
    hashlib.sha256(data).digest()
    return len(data) / (time.perf_counter() - began)


def key_seconds(source: Path, folder: Path) -> float:
    """Per key that is compared with all others."""
    samples = open_samples(config_of(source, folder))
    began = time.perf_counter()
    samples.check_keys()
    return (time.perf_counter() - began) / samples.size


def logits_bytes(samples: int = 512) -> float:
    """Per sample in a shard of teacher logits of 1,000 classes, whose fp16 values hardly repeat."""
    logits = DenseFp16().encode(torch.randn(samples, CLASSES, generator=torch.Generator().manual_seed(0)))
    keys = pa.array([f"part-00000_{index:07d}" for index in range(samples)], pa.string())
    return len(table_to_parquet(pa.table({"key": keys, "logits": logits}))) / samples


def base_memory() -> float:
    """Bytes of a process with PyTorch and the stages."""
    return in_new_process(peak_bytes)


def file_memory(files: int) -> float:
    """Peak bytes per file in a process that finishes an artifact: its reports, the manifest, and the same read back."""
    return in_new_process(_finish, files) / files


def unit_memory(few: int, many: int) -> float:
    """Peak bytes per 224x224 sample of a shard, in a worker that caches and mines it."""
    return (in_new_process(_mine_one, many) - in_new_process(_mine_one, few)) / (many - few)


def _manifest(files: int) -> Manifest:
    return Manifest(
        artifact="dataset",
        bpkd="0",
        files=[
            FileEntry(
                path=f"train-{index:05d}-of-{files:05d}.tar",
                bytes=110_000_000 + index,
                sha256=hashlib.sha256(str(index).encode()).hexdigest(),
                samples=1024,
                source=1024,
                labelled=1024,
            )
            for index in range(files)
        ],
        fingerprint={},
    )


def _finish(files: int) -> int:
    before = peak_bytes()
    reports = [
        ShardReport(files=[entry], details={"dropped": 0, "gap": float(number)})
        for number, entry in enumerate(_manifest(files).files)
    ]
    manifest = Manifest(
        artifact="auxiliary", bpkd="0", files=[file for report in reports for file in report.files], fingerprint={}
    )
    unpack(pack(manifest))
    json.dumps([[file.path, file.sha256] for file in manifest.files])  # `identity`, for whoever reads it
    return peak_bytes() - before


def _mine_one(samples: int) -> int:
    """Peak of a process that caches and mines one shard of so many 224x224 images with small models."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_jpegs(folder / "source.parquet", samples)
        config = parse_config(_values(folder, samples), root=folder, origin="scale")
        cache(config)
        mine(config)
    return peak_bytes()


def _write_jpegs(file: Path, samples: int) -> None:
    """As many images of smooth noise, in row groups of 100."""
    generator = np.random.default_rng(0)
    images = []
    for _ in range(samples):
        sink = io.BytesIO()
        noise = Image.fromarray(generator.integers(0, 256, (SIDE // 4, SIDE // 4, 3), np.uint8))
        noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(sink, "JPEG", quality=90)
        images.append({"bytes": sink.getvalue(), "path": None})
    column = pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({"image": column}), file, row_group_size=100)


def _values(folder: Path, samples: int) -> dict[str, Any]:
    return {
        "run": {"output": str(folder / "run"), "rounds": 1, "device": "cpu"},
        "data": {"train": "source.parquet", "shard_size": samples},
        "teacher": {"factory": "zoo:cnn", "kwargs": {"classes": CLASSES, "width": 4, "depth": 1}},
        "student": {"factory": "zoo:cnn", "kwargs": {"width": 4, "depth": 1}},
        "cache": {"batch_size": 8},
        "mine": {"steps": 1, "batch_size": 8},
        "train": {"steps": 2, "batch_size": 2, "memory_mb": 1},
    }
