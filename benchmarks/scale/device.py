"""What one accelerator and one core do per second with 224x224 images: the constants that this machine cannot give.

    python benchmarks/scale/device.py

Times the teacher's forward pass, a whole climb with its label, and an optimiser step of the student, each from the
uint8 pixels in host memory and back as the stages do it, and the images' JPEG and PNG on one core and on all. The
models have random weights, which changes no time. Writes benchmarks/results/scale_gpu.json; takes two minutes on one
GPU and needs torchvision. Crops of the two photographs in scikit-learn stand for images.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from PIL import Image

from pipeline.distill.criterion import Criterion
from pipeline.distill.pool import Batch
from pipeline.kinds.image import ImageKind, to_png
from pipeline.mining.ascent import ascend
from pipeline.mining.bounds import Bounds
from pipeline.models.factory import build_model
from pipeline.models.wrapper import Wrapped
from pipeline.work.numerics import reproducible
from schemas.registry import LOSSES, OBJECTIVES, STEP_RULES

RESULT = Path(__file__).parents[1] / "results" / "scale_gpu.json"
Pixels = npt.NDArray[np.uint8]
KIND = ImageKind()
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@dataclass(frozen=True)
class Work:
    """What is timed: models by factory, samples in a batch of each kind of work, steps of a climb, seconds of each."""

    teacher: str
    student: str
    side: int
    classes: int
    forward: int
    climb: int
    train: int
    steps: int
    seconds: float


def measure_device(work: Work, device: torch.device) -> dict[str, Any]:
    """Samples per second of everything, by precision where that matters."""
    photographs, name = _photographs()
    pixels = np.stack([_crop(photographs, index, work.side, work.side) for index in range(max(work.forward, 16))])
    cores = _cores(photographs, pixels[:16], work)
    teacher, student = (_model(factory, work.classes, device) for factory in (work.teacher, work.student))
    found: dict[str, Any] = {"forward": {}, "mine": {}}
    parents = mined = pixels[: work.climb]
    for precision in ("fp32", "bf16"):
        cast = _cast(precision, device)
        forward = partial(_forward, teacher, pixels[: work.forward], cast, device)
        mining = partial(_mine, teacher, student, parents, work.steps, cast, device)
        mined = mining()
        found["forward"][precision] = _rate(forward, work, device, work.forward)
        found["mine"][precision] = _rate(mining, work, device, work.climb)
    found["train"] = _train_rate(student, pixels, work, device)
    sizes = {
        "png_bytes_source": float(np.mean([len(to_png(image)) for image in pixels[:16]])),
        "png_bytes_mined": float(np.mean([len(to_png(image)) for image in mined[:16]])),
    }
    return {**found, **cores, **sizes, "images": name}


def _photographs() -> tuple[list[Pixels], str]:
    try:
        from sklearn.datasets import load_sample_images

        return list(load_sample_images().images), "crops of scikit-learn's two photographs"
    except ImportError:
        noise = np.random.default_rng(0).integers(0, 256, (40, 54, 3), np.uint8)
        smooth = Image.fromarray(noise).resize((640, 427), Image.Resampling.BICUBIC)
        return [np.asarray(smooth)], "smooth noise"


def _crop(photographs: list[Pixels], index: int, height: int, width: int) -> Pixels:
    """(3, height, width), another one for every index."""
    generator = np.random.default_rng(index)
    photograph = photographs[index % len(photographs)]
    room = (have - want + 1 for have, want in zip(photograph.shape[:2], (height, width), strict=True))
    top, left = (int(generator.integers(0, places)) for places in room)
    return np.ascontiguousarray(photograph[top : top + height, left : left + width].transpose(2, 0, 1))


def _model(factory: str, classes: int, device: torch.device) -> Wrapped:
    torch.manual_seed(0)
    own = factory.startswith("torchvision")
    kwargs = {"num_classes": classes} if own else {"classes": classes, "channels": 3}
    inner = build_model(factory, kwargs, {}, str, role="teacher")
    return Wrapped(inner, MEAN, STD).to(device).eval().requires_grad_(False)


def _cast(precision: str, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def _forward(model: Wrapped, pixels: Pixels, cast: Callable[[], AbstractContextManager[Any]], device: Any) -> None:
    """As `pipeline.work.setup.predict` does it."""
    with torch.inference_mode(), cast():
        model(KIND.to_inputs(pixels).to(device)).float().cpu()


def _mine(
    teacher: Wrapped,
    student: Wrapped,
    parents: Pixels,
    steps: int,
    cast: Callable[[], AbstractContextManager[Any]],
    device: torch.device,
) -> Pixels:
    """Climb, round to pixels, label; as `InputClimber` and `Miner` do it."""
    origin = KIND.to_inputs(parents).to(device)
    with cast():
        end = ascend(
            teacher,
            student,
            origin,
            origin,
            objective=OBJECTIVES.build("l2", temperature=4.0),
            step_rule=STEP_RULES.build("l2"),
            bounds=Bounds(0.0, 1.0),
            steps=steps,
            step_size=0.2,
        )
        stored: Pixels = KIND.to_stored(end.inputs.cpu())
        with torch.inference_mode():
            inputs = KIND.to_inputs(stored).to(device)
            (teacher(inputs).float() - student(inputs).float()).square().sum(dim=1).cpu()
            teacher(inputs).float().cpu()
    return stored


def _train_rate(student: Wrapped, pixels: Pixels, work: Work, device: torch.device) -> float:
    """Samples per second in fp32, the samples being on the device as a window is."""
    student.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3)
    criterion = Criterion(LOSSES.build("kl", {}, temperature=4.0), 1.0, regression=False)
    window = torch.from_numpy(pixels).to(device)
    logits = torch.randn(len(pixels), work.classes, device=device)
    labels = torch.full((len(pixels),), -1, device=device)

    def step() -> None:
        chosen = torch.randint(len(window), (work.train,), device=device)
        batch = Batch(KIND.to_inputs(window[chosen]), logits[chosen], labels[chosen])
        loss, _ = criterion(student(batch.inputs), batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return _rate(step, work, device, work.train)


def _cores(photographs: list[Pixels], pixels: Pixels, work: Work) -> dict[str, Any]:
    """Samples per second of one core, and of all together; bytes per second of SHA-256."""
    height, width = (min(have, want) for have, want in zip(photographs[0].shape[:2], (375, 500), strict=True))
    jpegs = []
    for index in range(16):
        sink = io.BytesIO()
        image = _crop(photographs, index, height, width).transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(image)).save(sink, "JPEG", quality=90)
        jpegs.append(sink.getvalue())
    resizing, cpu, count = ImageKind(mode="RGB", size=(work.side, work.side)), torch.device("cpu"), len(jpegs)
    keys = [str(index) for index in range(len(pixels))]
    batch = pa.RecordBatch.from_arrays([KIND.to_columns(keys, pixels, pixels.shape[1:])["image"]], ["image"])
    data = b"0" * 2**24
    together = os.cpu_count() or 1
    with ProcessPoolExecutor(together, get_context("spawn")) as pool:
        list(pool.map(_encode_rate, [pixels] * together, [0.1] * together))
        total = sum(pool.map(_encode_rate, [pixels] * together, [work.seconds] * together))
    return {
        "jpeg_decode": _rate(lambda: [resizing.decode(jpeg) for jpeg in jpegs], work, cpu, count),
        "png_encode": _encode_rate(pixels, work.seconds),
        "png_encode_all_cores": total,
        "png_decode": _rate(lambda: KIND.from_columns(batch, pixels.shape[1:]), work, cpu, len(pixels)),
        "sha256_bytes": _rate(lambda: hashlib.sha256(data).digest(), work, cpu, len(data)),
        "jpeg_bytes": float(np.mean([len(jpeg) for jpeg in jpegs])),
        "cores": together,
    }


def _encode_rate(pixels: Pixels, seconds: float) -> float:
    torch.set_num_threads(1)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        to_png(pixels[done % len(pixels)])
        done += 1
    return done / (time.perf_counter() - began)


def _rate(call: Callable[[], object], work: Work, device: torch.device, samples: int) -> float:
    """Samples per second of calls that take so many each."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(2):
        call()
    wait()
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < work.seconds:
        call()
        wait()
        done += 1
    return samples * done / (time.perf_counter() - began)


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--teacher", default="torchvision.models:resnet50", show_default=True, help="its factory")
@click.option("--student", default="torchvision.models:resnet18", show_default=True, help="its factory")
@click.option("--side", default=224, show_default=True, help="of the images")
@click.option("--classes", default=1000, show_default=True)
@click.option("--forward", default=256, show_default=True, help="samples in a forward pass, cache.batch_size")
@click.option("--climb", default=128, show_default=True, help="samples that climb together, mine.batch_size")
@click.option("--train", default=256, show_default=True, help="samples in an optimiser step, train.batch_size")
@click.option("--steps", default=10, show_default=True, help="of a climb, mine.steps")
@click.option("--seconds", default=8.0, show_default=True, help="for each figure")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write")
def main(output: Path, **settings: Any) -> None:
    work = Work(**settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with reproducible():
        found = measure_device(work, device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    machine = {"device": name, "torch": torch.__version__, "platform": platform.platform()}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"machine": machine, "settings": settings, **found}, indent=1) + "\n")
    click.echo(output)


if __name__ == "__main__":
    main()
