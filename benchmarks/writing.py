"""Shards written from pixels and logits in memory, by our own writers and by webdataset's; `reading.py` measures them.

Ours hashes every file and writes the manifest, too.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import Seconds, in_turn

from pipeline.artifacts.artifact import Artifact
from pipeline.artifacts.units import File, Made
from pipeline.datasets import open_dataset
from pipeline.shards.rows import RowFormat, Rows
from schemas.registry import FORMATS

SHARD = 2000


def measure_writing(parquet: Path, folder: Path, rounds: int) -> Seconds:
    """Of each way to write what the data set `parquet` holds, into `folder`."""
    dataset = open_dataset(str(parquet))
    rows = _joined([part.rows() for part in dataset.parts])
    return in_turn(
        {
            "bpkd, webdataset": partial(write_bpkd, dataset.rows, rows, "webdataset", folder / "written"),
            "bpkd, parquet": partial(write_bpkd, dataset.rows, rows, "parquet", folder / "written"),
            "webdataset.ShardWriter": partial(write_shards, rows, folder / "shards"),
        },
        rounds,
    )


def write_bpkd(rows: RowFormat, samples: Rows, format: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    writer, count = FORMATS.build(format), len(samples)
    with Artifact(str(folder), "dataset", {}) as artifact:
        target, units = artifact.target(), []
        for start in range(0, count, SHARD):
            piece = _slice(samples, start, start + SHARD)
            name = f"train-{start // SHARD:05d}-of-{-(-count // SHARD):05d}.{writer.suffix}"
            made = target.write(Made([File(name, writer.write(rows.encode(piece), rows), samples=len(piece))]))
            artifact.commit(name, made.files)
            units.append(name)
        artifact.finish(units)


def write_shards(samples: Rows, folder: Path) -> None:
    import webdataset

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with webdataset.ShardWriter(str(folder / "train-%05d.tar"), maxcount=SHARD, verbose=0) as sink:
        for index, key in enumerate(samples.keys):
            logits = np.asarray(samples.logits[index], np.float16)  # type: ignore[index]
            fields = {
                "origin": "source",
                "parent_key": "",
                "round": 0,
                "gap_before": -1.0,
                "gap_after": -1.0,
                "steps": 0,
            }
            image = Image.fromarray(samples.stored[index][0])
            sink.write(
                {"__key__": key, "png": image, "cls": int(samples.labels[index]), "teacher.npy": logits, "json": fields}
            )


def _slice(rows: Rows, start: int, stop: int) -> Rows:
    place = slice(start, stop)
    return Rows(rows.keys[place], *(getattr(rows, name)[place] for name in ("stored", "labels", "logits", "is_source")))


def _joined(parts: list[Rows]) -> Rows:
    return Rows(
        [key for part in parts for key in part.keys],
        np.concatenate([part.stored for part in parts]),
        np.concatenate([part.labels for part in parts]),
        torch.cat([part.logits for part in parts]),  # type: ignore[misc]
        np.concatenate([part.is_source for part in parts]),
    )
