"""How fast are shards read and written? Against webdataset, Hugging Face datasets and litdata, on the same samples.

    pip install litdata    # left out where it is not there
    python benchmarks/reading.py

Reading is one epoch of shuffled batches as a training takes them: float images, fp16 logits as float32, labels. What a
library does once, such as litdata's own copy of the data or the Arrow cache of datasets, is done before and not
counted. All read in one process. Of writing see writing.py. Times are taken in turn, and what is shown are medians
and their ratios. Writes benchmarks/results/reading.json, which `python benchmarks/performance.py` puts into
docs/performance.md.
"""

from __future__ import annotations

import io
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow.parquet as pq
import torch
from images import write_source
from PIL import Image
from timing import Seconds, in_turn, machine, ratio, save, show
from writing import SHARD, measure_writing

from pipeline.datasets import open_dataset
from pipeline.distill.batches import BatchPlan
from pipeline.seeds import numpy_generator
from pipeline.shards.pool import PartsPool
from pipeline.stages import cache, export
from schemas.config import Config, parse_config
from schemas.registry import FORMATS

RESULT = Path(__file__).parent / "results" / "reading.json"
BATCH = 256
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def make(folder: Path, samples: int) -> dict[str, Path]:
    """The same data set in both formats."""
    write_source(folder / "source", samples)
    teacher = {"factory": "zoo:cnn", "kwargs": {"classes": 10, "width": 8, "depth": 2}}
    found = {}
    for format in FORMATS.names:
        config: Config = parse_config(
            {
                "run": {"output": "run", "rounds": 0, "device": "cpu"},
                "data": {"train": "source", "shard_size": SHARD},
                "teacher": teacher,
                "student": teacher,
                "export": {"format": format, "shard_size": SHARD},
            },
            root=folder,
        )
        cache(config)
        export(config, output=str(folder / format))
        found[format] = folder / format
    return found


def bpkd(url: Path) -> Iterator[Batch]:
    dataset = open_dataset(str(url))
    pool = PartsPool(dataset.parts, dataset.rows, memory_mb=2048, seed=0, device=torch.device("cpu"))
    for index in range(len(pool.sizes)):
        window = pool.load(index)
        for indices in BatchPlan(BATCH, None).batches(window.is_source, numpy_generator(0, "batches")):
            batch = window.batch(indices)
            yield batch.inputs, batch.logits, batch.labels


def with_webdataset(folder: Path) -> Iterator[Batch]:
    import webdataset

    shards = sorted(str(path) for path in folder.glob("*.tar"))

    def decode(sample: dict[str, bytes]) -> Batch:
        logits = np.load(io.BytesIO(sample["teacher.npy"]), allow_pickle=False)
        return _image(sample["png"]), torch.from_numpy(logits.astype(np.float32)), torch.tensor(int(sample["cls"]))

    pipeline = webdataset.WebDataset(shards, shardshuffle=len(shards), seed=0).shuffle(2 * SHARD).map(decode)
    yield from pipeline.batched(BATCH, collation_fn=_collated)


def with_datasets(format: str, folder: Path, cache_dir: Path) -> Iterator[Batch]:
    import datasets

    data = datasets.load_dataset(format, data_dir=str(folder), split="train", cache_dir=str(cache_dir))
    names = ("image", "teacher_logits", "label") if format == "parquet" else ("png", "teacher.npy", "cls")
    for batch in data.shuffle(seed=0).select_columns(list(names)).with_format("torch").iter(BATCH):
        image, logits, label = (batch[name] for name in names)
        yield torch.stack([*image]).float() / 255, torch.stack([*logits]).float(), label


def with_litdata(folder: Path) -> Iterator[Batch]:
    from litdata import StreamingDataLoader, StreamingDataset

    data = StreamingDataset(str(folder), shuffle=True, seed=0)
    for samples in StreamingDataLoader(data, batch_size=BATCH, num_workers=0, collate_fn=list):
        rows = [
            (
                _image(sample["png"]),
                torch.from_numpy(sample["logits"].astype(np.float32)),
                torch.tensor(sample["label"]),
            )
            for sample in samples
        ]
        yield _collated(rows)


def write_litdata(parquet: Path, folder: Path) -> None:
    """litdata's own copy of the samples, as PNG like all others."""
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir()
    writer = BinaryWriter(str(folder), chunk_bytes="64MB")
    index = 0
    for file in sorted(parquet.glob("*.parquet")):
        for row in pq.read_table(file, columns=["image", "label", "teacher_logits"]).to_pylist():
            logits = np.array(row["teacher_logits"], np.float16)
            writer[index] = {"png": row["image"]["bytes"], "label": int(row["label"]), "logits": logits}
            index += 1
    writer.done()
    writer.merge()


def consume(batches: Callable[[], Iterator[Batch]], samples: int) -> None:
    """Go through an epoch, and see that it is one."""
    found, values = 0, 0.0
    for images, logits, labels in batches():
        found += len(images)
        values += float(images[0, 0, 0, 0]) + float(logits[0, 0]) + float(labels[0])
    if found != samples:
        raise SystemExit(f"an epoch of {found} samples, {samples} are there")


def measure(folder: Path, samples: int, rounds: int) -> dict[str, Seconds]:
    import datasets

    datasets.disable_progress_bars()
    made = make(folder, samples)
    readers: dict[str, Callable[[], Iterator[Batch]]] = {
        "bpkd, webdataset": partial(bpkd, made["webdataset"]),
        "bpkd, parquet": partial(bpkd, made["parquet"]),
        "webdataset": partial(with_webdataset, made["webdataset"]),
        "datasets, webdataset": partial(with_datasets, "webdataset", made["webdataset"], folder / "cache"),
        "datasets, parquet": partial(with_datasets, "parquet", made["parquet"], folder / "cache"),
    }
    if find_spec("litdata"):
        write_litdata(made["parquet"], folder / "litdata")
        readers["litdata"] = partial(with_litdata, folder / "litdata")
    reading = in_turn({name: partial(consume, reader, samples) for name, reader in readers.items()}, rounds)
    return {"reading": reading, "writing": measure_writing(made["parquet"], folder, rounds)}


def rows(what: str, seconds: Seconds, samples: int) -> Iterator[list[str]]:
    """Heads, and what is shown of every way."""
    others = [name for name in seconds if not name.startswith("bpkd")]
    yield [what, "samples/s", *(f"of {name}" for name in others)]
    for name, times in seconds.items():
        ratios = (f"{ratio(seconds, other, name):.2f} x" for other in others)
        yield [name, f"{samples / statistics.median(times):,.0f}", *ratios]


def _image(png: bytes) -> torch.Tensor:
    """float32 (1, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(Image.open(io.BytesIO(png))))[None].float() / 255


def _collated(samples: list[Batch]) -> Batch:
    images, logits, labels = zip(*samples, strict=True)
    return torch.stack(images), torch.stack(logits), torch.stack(labels)


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--samples", default=20_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--quick", is_flag=True, help="Few samples, to see that it works.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(samples: int, rounds: int, quick: bool, output: Path) -> None:
    samples, rounds = (600, 1) if quick else (samples, rounds)
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = measure(Path(folder), samples, rounds)
    report = {
        "machine": machine("webdataset", "datasets", *(["litdata"] if find_spec("litdata") else [])),
        "samples": samples,
        **found,
    }
    save(output, report)
    for what in ("reading", "writing"):
        show(rows(what, found[what], samples))


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when datasets is imported
    main()
