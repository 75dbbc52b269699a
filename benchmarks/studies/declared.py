"""The studies. Each fits an hour on 2 cores, if a core takes 30 s for a student and 22 ms for a climb of 10 steps."""

from __future__ import annotations

from typing import Any

from few_sample import NOISE

from studies.methods import candidates, methods
from studies.study import Study


def _points(axis: str, section: str, key: str, values: list[Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """A point for each value of one key of the config."""
    return {f"{axis} = {_shown(value)}": {section: {key: value}} for value in values}


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _students(*widths: int) -> dict[str, dict[str, dict[str, Any]]]:
    """By the number of weights that a zoo:cnn of depth 4 has, for grey images and 10 classes."""
    return {
        f"weights = {27 * width**2 + 43 * width + 10:,}": {
            "student": {"factory": "zoo:cnn", "kwargs": {"width": width, "depth": 4}}
        }
        for width in widths
    }


FEW = ("plain KD", "KD + noise", "KD + CutMix", "KD + flips and crops", "bpkd", "bpkd share")
CHEAP = ("KD + noise", "KD + mixup", "KD + CutMix", "KD + flips and crops")

# 50 to 60 minutes. 9 rounds, but where climbing from all images 9 times would take hours: 4 rounds from 1,000 images,
# 1 from 5,000 (two seeds) and 60,000 (one seed, some of the methods).
SAMPLES = Study(
    name="samples",
    points={
        "images = 100": {"data": {"limit": 100}},
        "images = 250": {"data": {"limit": 250}},
        "images = 500": {"data": {"limit": 500}},
        "images = 1,000": {"data": {"limit": 1000}, "run": {"rounds": 4}},
        "images = 5,000": {"data": {"limit": 5000}, "run": {"rounds": 1}},
        "images = 60,000": {"data": {"limit": 60_000}, "run": {"rounds": 1}},
    },
    methods=methods(),
    seeds=3,
    only={"images = 60,000": ("label-only", "plain KD", "KD + noise", "KD + flips and crops", "bpkd", "bpkd share")},
    fewer={"images = 5,000": 2, "images = 60,000": 1},
)

# About 30 minutes.
COMPRESSION = Study(
    name="compression",
    points=_students(4, 8, 16, 32),
    methods=methods(*FEW),
    seeds=3,
)

_VARIED = ("steps", "step size", "objective")

# About 55 minutes. One thing varied at a time, round the bpkd of few_sample.py.
_CLIMB_POINTS = {
    **_points("rounds", "run", "rounds", [1, 3, 9, 18]),
    **_points("steps", "mine", "steps", [1, 3, 10, 30]),
    **_points("step size", "mine", "step_size", [0.05, 0.1, 0.2, 0.4, 0.8]),
    **_points("objective", "mine", "objective", ["l2", "kl", "js", "student"]),
}
CLIMB = Study(
    name="climb",
    points=_CLIMB_POINTS,
    methods={"bpkd": {}, "KD + noise": {"mine": {"steps": 0, **NOISE}}},
    seeds=3,
    only={point: ("bpkd",) for point in _CLIMB_POINTS if point.startswith(_VARIED)},  # noise has none of these
)

# About 45 minutes. As many passes of the teacher for every method: what a climb of 2 or 10 steps costs buys 5 or 21
# samples that are not climbed.
COMPUTE = Study(
    name="compute",
    points={
        "passes per image and round = 1": {"mine": {"climbs": 1, "steps": 0}},
        "passes per image and round = 5": {"mine": {"climbs": 5, "steps": 2}},
        "passes per image and round = 21": {"mine": {"climbs": 21, "steps": 10}},
    },
    methods=methods("plain KD", *CHEAP, "bpkd", "bpkd from noise"),
    seeds=3,
    # Without a step a climb from the sample is the sample, and one from noise is noise.
    only={"passes per image and round = 1": ("plain KD", *CHEAP)},
)

# About 25 minutes. Opponents of bpkd share are trained beside its student: with 9 rounds their steps are nine tenths of
# its own, so that it is to be compared with others at twice as many.
STEPS = Study(
    name="steps",
    points=_points("optimiser steps", "train", "steps", [1500, 3000, 6000]),
    methods=methods("plain KD", "KD + flips and crops", "bpkd", "bpkd share"),
    seeds=3,
)

# About 40 minutes. The same number of settings for every method that has any, on images that no student of it has seen.
SEARCH = Study(
    name="search",
    points={"images = 500": {}},
    methods=candidates(),
    seeds=2,
    split="validation",
)
