"""Few unlabelled samples: what does each method make of 500 Fashion-MNIST images and a strong teacher?

    python benchmarks/few_sample.py --data ../shared/data/fashion_mnist

Every method gets the same teacher, the same images, the same number of optimiser steps and, where it stores auxiliary
samples, the same number of them. First table: the student each run ends with. Second table: fresh students, of the same
architecture and twice as wide, trained from each method's exported data set alone. Mean and standard deviation over
seeds, on the test split, which chooses nothing. Prints both tables in Markdown and writes results.json into the work
folder; a full run of all methods writes results/few_sample.json too, which the README quotes.
"""

from __future__ import annotations

from typing import Any

from compared import command
from comparison import Comparison

STUDENT: dict[str, Any] = {"factory": "zoo:cnn", "kwargs": {"width": 16, "depth": 4}}
WIDE: dict[str, Any] = {"factory": "zoo:cnn", "kwargs": {"width": 32, "depth": 4}}

CLIMB = {"steps": 10, "step_size": 0.2}
NOISE = {"start": "noise", "start_options": {"std": 0.3}}

COMPARISON = Comparison(
    name="few_sample",
    base={
        "run": {"rounds": 9},
        "data": {"limit": 500},
        "teacher": {"factory": "zoo:cnn", "kwargs": {"width": 128, "depth": 5}},
        "student": STUDENT,
        "train": {"alpha": 1.0, "lr": 3e-3},
    },
    methods={
        "label-only": {"run": {"rounds": 0}, "train": {"alpha": 0.0}},
        "plain KD": {"run": {"rounds": 0}},
        "KD + noise": {"mine": {"steps": 0, **NOISE}},
        "bpkd": {"mine": CLIMB},
        "bpkd from noise": {"mine": {**CLIMB, **NOISE}},
    },
    fresh={"fresh": STUDENT, "fresh, twice as wide": WIDE},
    teaching={},
    steps=3000,
    seeds=3,
    epochs=8,
)

if __name__ == "__main__":
    command(COMPARISON, __doc__ or "")()
