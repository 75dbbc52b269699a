"""What makes a data set travel: `mine.recipe = "share"` with one thing changed at a time, on a validation split.

    python benchmarks/levers.py --data ../shared/data/fashion_mnist

The images, the teacher and the students of travel.py; figures are of images that no student has seen, and not of the
test split, since it is here that settings are chosen. Writes results/levers.json, which docs/results.md shows.
"""

from __future__ import annotations

from dataclasses import replace

from compared import command
from comparison import Sections, merged
from travel import COMPARISON as TRAVEL

CHANGES: dict[str, Sections] = {
    "share": {},
    "no climb": {"mine": {"steps": 0}},
    "1 step": {"mine": {"steps": 1}},
    "10 steps": {"mine": {"steps": 10}},
    "not blurred": {"mine": {"step_rule": "l2"}},
    "against the student so far": {"mine": {"opponent": "continue"}},
    "from the image itself": {"mine": {"start": "sample"}},
    "from noise": {"mine": {"start": "noise", "start_options": {"std": 0.3}}},
    "from CutMix": {"mine": {"start": "cutmix"}},
    "up the KL divergence": {"mine": {"objective": "kl"}},
    "in a ball of 0.6 round the image": {"mine": {"ball": "l2", "radius": 0.6}},
    "the better half of two climbs": {"mine": {"climbs": 2, "keep": "top", "keep_fraction": 0.5}},
    "every other one not climbed": {"mine": {"step_rule": "lever_parts:EveryOther"}},
    "a quarter of each batch from the source": {"train": {"source_fraction": 0.25}},
    "samples weighted by their gap": {"train": {"loss": "lever_parts:ByGap"}},
}


COMPARISON = replace(
    TRAVEL,
    name="levers",
    methods={name: merged({"mine": {"recipe": "share"}}, change) for name, change in CHANGES.items()},
    fresh={name: TRAVEL.fresh[name] for name in ("the same", "residual", "perceptron")},
    seeds=2,
    split="validation",
)

if __name__ == "__main__":
    command(COMPARISON, __doc__ or "")()
