"""Extreme compression: a student with five hidden units learns MNIST digits from a teacher with 800.

    python benchmarks/paper/digits.py --data ../shared/data/mnist10k --search    # chooses the settings
    python benchmarks/paper/digits.py --data ../shared/data/mnist10k

The sizes are those of the paper (arXiv 2301.12006): a teacher 784-800-10 of 636,010 weights, a student 784-5-10 of
3,985, one for every 160. All training images are used with their labels, by the teacher and by every method; methods
get the same number of optimiser steps. Accuracy on the test split over ten seeds, none of them left out: five units are
so few that seeds differ by points, and some units die. The search has as many candidates for noise as for bpkd.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from comparison import Comparison

from paper.experiment import Experiment, command
from paper.search import Goal, Stages, grid
from paper.tables import ACCURACY, AGREEMENT, GAP, Rows, result_rows, tried_rows

COMPARISON = Comparison(
    name="digits",
    base={
        "data": {"classes": 10},
        "teacher": {"factory": "zoo:mlp", "kwargs": {"hidden": [800]}},
        "student": {"factory": "zoo:mlp", "kwargs": {"hidden": [5]}},
        "export": {"format": "parquet"},
    },
    methods={
        "label-only": {"run": {"rounds": 0}, "train": {"alpha": 0.0}},
        "plain KD": {"run": {"rounds": 0}},
        "KD + noise": {"run": {"rounds": 3}, "mine": {"start": "noise", "steps": 0}},
        "bpkd": {"run": {"rounds": 3}, "mine": {"steps": 5}},
    },
    fresh={},
    teaching={},
    steps=4000,
    seeds=10,
    epochs=20,
    teacher_threads=1,
)

RATES = {"train.lr": [1e-3, 3e-3, 1e-2]}
ALPHA = {"train.alpha": [0.5, 0.9, 1.0]}
STD = {"mine.start_options": [{"std": std} for std in (0.05, 0.1, 0.2, 0.4)]}
STEP_SIZE = {"mine.step_size": [0.1, 0.2, 0.4, 0.8]}
ROUNDS = {"run.rounds": [1, 3, 6]}


def rows(report: Mapping[str, Any]) -> Rows:
    """Heads, and a row for each method: on the test split, mean ± standard deviation over the seeds, and the median."""
    return result_rows(report, (ACCURACY, AGREEMENT, GAP))


def search_rows(report: Mapping[str, Any]) -> Rows:
    """Heads, and a row for each setting that was tried on the validation split."""
    return tried_rows(report, ACCURACY)


EXPERIMENT = Experiment(
    script="digits",
    comparisons={"784-800-10, 784-5-10": COMPARISON},
    searches={
        "label-only": Stages([grid(RATES)]),
        "plain KD": Stages([grid(RATES | ALPHA)]),
        "KD + noise": Stages([grid(STD), grid(ALPHA), grid(ROUNDS)], begin="plain KD"),
        "bpkd": Stages([grid(STEP_SIZE), grid(ALPHA), grid(ROUNDS)], begin="plain KD"),
    },
    goal=Goal("accuracy", max),
    rows=rows,
    search_rows=search_rows,
)

if __name__ == "__main__":
    command(EXPERIMENT, __doc__ or "")()
