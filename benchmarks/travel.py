"""Does the data set travel? Students that no sample was made for, trained from each method's exported data set alone.

    python benchmarks/travel.py --data ../shared/data/fashion_mnist

500 unlabelled Fashion-MNIST images and the teacher of few_sample.py. Every method stores as many samples. From each
data set four students with new weights are trained for as many steps: of the student's own architecture, twice as wide,
a residual network and a perceptron. Settings of the methods are those of `studies/samples.py --search`, but for the
recipes, which are taken as they come. Writes results/travel.json, which docs/results.md shows.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from compared import command
from comparison import HERE, Result, merged
from few_sample import CLIMB, STUDENT, WIDE
from few_sample import COMPARISON as FEW_SAMPLE
from studies.methods import methods
from studies.tables import cell

FRESH: dict[str, dict[str, Any]] = {
    "the same": STUDENT,
    "twice as wide": WIDE,
    "residual": {"factory": f"{HERE / 'nets.py'}:halved_resnet", "kwargs": {"classes": 10}},
    "perceptron": {"factory": "zoo:mlp", "kwargs": {"hidden": [128, 64]}},
}

BASELINES = (
    *("plain KD", "KD + noise", "KD + mixup", "KD + CutMix", "KD + flips and crops"),
    *("KD + adversarial of the student", "bpkd", "bpkd from noise"),
)

COMPARISON = replace(
    FEW_SAMPLE,
    name="travel",
    methods={
        **{name: merged({"mine": CLIMB}, sections) for name, sections in methods(*BASELINES).items()},
        "bpkd share": {"mine": {"recipe": "share"}},
    },
    fresh=FRESH,
)


def means(report: dict[str, Any], figure: str, *, fresh: bool) -> dict[str, float]:
    """Method -> the mean over seeds, and over fresh students or else of the one that each run ends with."""
    found: dict[str, list[float]] = {}
    for result in report["results"]:
        if (result["student"] != "continued") == fresh:
            found.setdefault(result["method"], []).append(result[figure])
    return {method: statistics.mean(values) for method, values in found.items()}


def rows(report: dict[str, Any], figure: str) -> Iterator[Sequence[str]]:
    """Heads, and a row for each method: mean ± std over the seeds for each student, and of their mean."""
    results = [Result(**result) for result in report["results"]]
    students = [name for name in dict.fromkeys(result.student for result in results) if name != "continued"]
    seeds = sorted({result.seed for result in results})
    yield [f"{figure}, %", "stored", *students, "mean"]
    for method in dict.fromkeys(result.method for result in results):
        own = {(r.student, r.seed): getattr(r, figure) for r in results if r.method == method}
        stored = next(r.stored for r in results if r.method == method)
        means = [sum(own[student, seed] for student in students) / len(students) for seed in seeds]
        cells = (cell([own[student, seed] for seed in seeds], figure) for student in students)
        yield [method, f"{stored:,}", *cells, cell(means, figure)]


if __name__ == "__main__":
    command(COMPARISON, __doc__ or "")()
