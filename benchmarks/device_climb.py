"""How near to a device's own limit does the climb come? On large teachers, in bf16, against its rate of matmul.

    pip install -e '.[text]'                          # for the architectures, with new weights; nothing is downloaded
    python benchmarks/device_climb.py                 # on a GPU
    python benchmarks/device_climb.py --device cpu --quick

Counts the operations of forward passes and of backward passes to the input, and sets what is done of them in a second
beside the largest matmul rate that is measured on the same device in the same run. Then mines for real, from JPEG files
to committed shards, and sets that beside the bare climb. Writes benchmarks/results/device_climb.json.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from end_to_end import stage
from PIL import Image
from timing import in_turn, machine, save, show
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.kinds.image import ImageKind
from pipeline.mining import Bounds
from pipeline.models import AnyModel, Wrapped, freeze
from pipeline.stages import cache, mine
from pipeline.work.climbers.base import climb
from pipeline.work.setup import autocast, prepared
from schemas.config import Config, parse_config

RESULT = Path(__file__).parent / "results" / "device_climb.json"
SIZE = 224
STUDENT = {"factory": "zoo:cnn", "kwargs": {"classes": 1000, "channels": 3, "width": 64, "depth": 4}}


def resnet50(small: bool = False) -> nn.Module:
    from transformers import ResNetConfig, ResNetForImageClassification

    sizes = {"embedding_size": 8, "hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]} if small else {}
    return ResNetForImageClassification(ResNetConfig(num_labels=1000, **sizes))


def vit_b(small: bool = False) -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    sizes = (
        {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32} if small else {}
    )
    return ViTForImageClassification(ViTConfig(num_labels=1000, **sizes))


TEACHERS: dict[str, Callable[[bool], nn.Module]] = {"ResNet-50": resnet50, "ViT-B/16": vit_b}


def matmul_rate(device: torch.device, size: int, rounds: int) -> float:
    """Operations a second of a square matmul in bf16."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = in_turn({"matmul": lambda: left @ right}, rounds, partial(_wait, device))["matmul"]
    return 2 * size**3 / statistics.median(seconds)


def measure(name: str, config: Config, batch: int, rounds: int, *, small: bool) -> dict[str, float]:
    """Operations and seconds of one climb of a batch, and of mining the images for real."""
    device = torch.device(config.run.device)
    torch.manual_seed(0)
    kind, shape = ImageKind(), (3, SIZE, SIZE)
    teacher = freeze(Wrapped(TEACHERS[name](small))).to(device)
    student = freeze(Wrapped(cnn_student())).to(device)
    pair = [prepared(config, model, kind, shape) for model in (teacher, student)]
    start = torch.rand(batch, *shape, generator=torch.Generator().manual_seed(0)).to(device)

    def run() -> None:
        with autocast(config, device):
            climb(config.mine, pair[0], pair[1], start, start, Bounds(0.0, 1.0))

    seconds = in_turn({"climb": run}, rounds, partial(_wait, device))["climb"]
    cache(config, restart=True)
    return {
        "operations": float(operations(config, pair, start)),
        "seconds": statistics.median(seconds),
        "mine_seconds": stage(mine, "round 1 mine", config),
    }


def operations(config: Config, pair: list[AnyModel], start: torch.Tensor) -> int:
    """Of one climb: every step goes forward and back to the input, and in the end there is one more pass forward."""
    counts = []
    for back in (True, False):
        x = start.clone().requires_grad_(back)
        with FlopCounterMode(display=False) as counter, autocast(config, start.device):
            gap = (pair[0](x).float() - pair[1](x).float()).square().sum()
            if back:
                gap.backward()  # type: ignore[no-untyped-call]
        counts.append(counter.get_total_flops())
    return config.mine.steps * counts[0] + counts[1]


def cnn_student() -> nn.Module:
    from pipeline.models.cnn import cnn

    return cnn(**STUDENT["kwargs"])  # type: ignore[arg-type]


def config_of(root: Path, name: str, device: str, batch: int, small: bool) -> Config:
    factory = {"ResNet-50": "resnet50", "ViT-B/16": "vit_b"}[name]
    return parse_config(
        {
            "run": {"output": factory, "rounds": 1, "device": device, "precision": "bf16"},
            "data": {"train": "images", "classes": 1000, "shard_size": 512},
            "teacher": {"factory": f"{Path(__file__).resolve()}:{factory}", "kwargs": {"small": small}},
            "student": STUDENT,
            "cache": {"batch_size": batch},
            "mine": {"batch_size": batch},
            "train": {"steps": 2},
        },
        root=root,
    )


def write_images(folder: Path, count: int) -> None:
    """JPEG files with something of a photograph's roughness."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for index in range(count):
        rough = Image.fromarray(generator.integers(0, 256, (28, 28, 3), np.uint8))
        rough.resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(folder / f"{index:05d}.jpg", quality=90)


def rows(report: dict[str, Any]) -> Iterator[list[str]]:
    """Heads, and what is shown of each teacher."""
    yield ["teacher", "climbs/s", "TFLOP/s", "of matmul", "mine, climbs/s", "of the bare climb"]
    for name, found in report["teachers"].items():
        rate, mined = report["batch"] / found["seconds"], report["images"] / found["mine_seconds"]
        done = found["operations"] / found["seconds"]
        share = (f"{rate:,.1f}", f"{done / 1e12:.2f}", f"{done / report['matmul']:.0%}")
        yield [name, *share, f"{mined:,.1f}", f"{mined / rate:.0%}"]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--device", default="cuda", show_default=True)
@click.option("--batch", default=256, show_default=True)
@click.option("--images", default=2048, show_default=True, help="That are mined for real.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--quick", is_flag=True, help="Tiny models and few images, to see that it works.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(device: str, batch: int, images: int, rounds: int, quick: bool, output: Path) -> None:
    batch, images, rounds = (2, 4, 1) if quick else (batch, images, rounds)
    began, found = time.perf_counter(), {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_images(root / "images", images)
        for teacher in TEACHERS:
            config = config_of(root, teacher, device, batch, quick)
            found[teacher] = measure(teacher, config, batch, rounds, small=quick)
    matmul = matmul_rate(torch.device(device), 256 if quick else 8192, rounds)
    report = {"machine": machine("transformers"), "batch": batch, "images": images, "matmul": matmul, "teachers": found}
    save(output, {**report, "took_seconds": time.perf_counter() - began})
    show(rows(report))


if __name__ == "__main__":
    main()
