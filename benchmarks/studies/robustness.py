"""How students of plain KD, noise, crops and bpkd stand noise, blur, rotation and attacks, from 500 images each.

    python benchmarks/studies/robustness.py --data ../shared/data/fashion_mnist

The students are those of samples.py at 500 images, of the same work folder, and are made where they are not there yet.
Attacks are of each student itself, up the cross-entropy against the true label, with the ascent that mines. 15 minutes
on 2 cores, and 8 where samples.py has been run.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from comparison import Scale, Task, config_of

from studies.declared import SAMPLES
from studies.methods import methods
from studies.running import command, trained
from studies.study import Study, cells

POINT = "images = 500"
STUDY = replace(
    SAMPLES,
    name="robustness",
    points={POINT: SAMPLES.points[POINT]},
    methods=methods("plain KD", "KD + noise", "KD + flips and crops", "bpkd", "bpkd share"),
    seeds=3,
    only={},
    fewer={},
)
BATCH = 500


def stand(task: Task) -> list[dict[str, Any]]:
    """Accuracy of one student under everything, with the same random numbers for all students."""
    import torch

    from pipeline import layout
    from pipeline.models import freeze
    from pipeline.sources import open_samples
    from pipeline.work.setup import open_student
    from pipeline.work.training import load_trained
    from studies.corruptions import ATTACK, CORRUPTIONS, RADII, attacked

    comparison, method, seed, scale = task
    config = config_of(comparison, method, seed, scale)
    samples = open_samples(config, "eval")
    student = open_student(config, samples.kind, samples.shape, samples.classes or 0, torch.device("cpu"))
    load_trained(layout.student(config.output), student)
    freeze(student)
    right: dict[str, list[torch.Tensor]] = {}

    def answer(point: str, images: torch.Tensor, labels: torch.Tensor) -> None:
        with torch.inference_mode():
            right.setdefault(point, []).append(student(images).argmax(dim=1) == labels)

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    for chunk in samples.chunks:
        block = samples.read(chunk)
        for begin in range(0, len(block.keys), BATCH):
            images = samples.kind.to_inputs(block.stored[begin : begin + BATCH])
            labels = torch.from_numpy(block.labels[begin : begin + BATCH])
            for name in (*CORRUPTIONS, ATTACK):
                answer(f"{name} = 0", images, labels)
            for name, (corrupt, strengths) in CORRUPTIONS.items():
                for strength in strengths:
                    answer(f"{name} = {strength:g}", corrupt(images, strength, generator), labels)
            for radius in RADII:
                answer(f"{ATTACK} = {radius:g}", attacked(student, images, labels, radius), labels)
    return [
        {"point": point, "method": method, "seed": seed, "accuracy": float(torch.cat(found).float().mean())}
        for point, found in right.items()
    ]


def run(study: Study, scale: Scale, jobs: int) -> list[dict[str, Any]]:
    """Of every student of the study, in its order."""
    trained(study, scale, jobs)
    tasks = [cell.task(study, scale) for cell in cells(study)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return [row for found in pool.map(stand, tasks) for row in found]


main = command(STUDY, __doc__ or "", run)

if __name__ == "__main__":
    main()
