"""What a study is, and the runs that it takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from comparison import QUICK_STEPS, Comparison, Scale, Sections, Task, merged
from few_sample import CLIMB
from few_sample import COMPARISON as FEW_SAMPLE

BASE: Sections = merged(FEW_SAMPLE.base, {"mine": {**CLIMB, "objective": "l2", "climbs": 1}})
QUICK: Sections = {
    "data": {"limit": 24},
    "run": {"rounds": 1},
    "mine": {"steps": 2, "climbs": 2},
    "train": {"steps": QUICK_STEPS // 3},
}
"""No more than that in a quick form."""


@dataclass(frozen=True)
class Study:
    """Methods at several points of one axis, or of several, one varied at a time.

    Attributes:
        name: of its script, and of its results, study_NAME.json.
        points: "AXIS = VALUE" -> what that sets in the config of every method.
        methods: name -> what it sets, over the points.
        seeds: at each point.
        base: what all share.
        only: point -> its methods, where not all.
        fewer: point -> its seeds, where fewer.
        steps, epochs: optimiser steps of a student, epochs of the teacher's training.
        split: of the figures: test, or validation where settings are to be chosen.
    """

    name: str
    points: Mapping[str, Sections]
    methods: Mapping[str, Sections]
    seeds: int
    base: Sections = field(default_factory=lambda: BASE)
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fewer: Mapping[str, int] = field(default_factory=dict)
    steps: int = FEW_SAMPLE.steps
    epochs: int = FEW_SAMPLE.epochs
    split: str = "test"

    def quick(self) -> Study:
        """First and last of its points and methods, one seed, few samples and steps: to see that it works."""
        points = {point: _at_most(self.base, self.points[point]) for point in _ends(self.points)}
        methods = {name: self.methods[name] for name in _ends(self.methods)}
        only = {point: [name for name in names if name in methods] for point, names in self.only.items()}
        fewer = {"seeds": 1, "fewer": {}, "steps": QUICK_STEPS // 3, "epochs": 1}
        return replace(self, base=_at_most(self.base, {}), points=points, methods=methods, only=only, **fewer)


@dataclass(frozen=True)
class Cell:
    """One run at one point."""

    point: str
    method: str
    seed: int
    sections: Sections

    @property
    def key(self) -> str:
        """The same for the same run, whatever points share it."""
        return json.dumps([self.method, self.seed, self.sections], sort_keys=True)

    def task(self, study: Study, scale: Scale) -> Task:
        """What `run_one` takes. Its folder is that of the config, so that one study takes over what another made."""
        told = json.dumps([self.sections, study.steps, study.epochs, study.split], sort_keys=True)
        folder = scale.work / "runs" / hashlib.sha256(told.encode()).hexdigest()[:10]
        comparison = Comparison(
            name=f"{study.name}, {self.point}",
            base=self.sections,
            methods={self.method: {}},
            fresh={},
            teaching=FEW_SAMPLE.teaching,
            steps=study.steps,
            seeds=study.seeds,
            epochs=study.epochs,
            split=study.split,
        )
        steps = self.sections["train"].get("steps", scale.steps)
        return comparison, self.method, self.seed, replace(scale, work=folder, teachers=scale.work, steps=steps)


def cells(study: Study) -> Iterator[Cell]:
    """Every method at every point with every seed; runs that several points share come several times."""
    for point, sections in study.points.items():
        for method in study.only.get(point, study.methods):
            together = _effective(merged(study.base, sections, study.methods[method]), study.steps)
            for seed in range(study.fewer.get(point, study.seeds)):
                yield Cell(point, method, seed, together)


def teacher_passes(sections: Sections, samples: int) -> int:
    """What a run asks of the teacher, in forward passes of one sample; a gradient by the input counts as one, too.

    The cache takes one for each sample of the source, a label of an auxiliary sample one, and a step of a climb two,
    but none where the objective does not ask the teacher. What the stages measure besides does not count.
    """
    if sections["train"].get("alpha") == 0:
        return 0
    mine = sections.get("mine", {})
    step = 0 if mine.get("objective") == "student" else 2
    climbs = samples * sections["run"]["rounds"] * mine.get("climbs", 1)
    return samples + climbs * (step * mine.get("steps", 0) + 1)


def _ends(names: Mapping[str, Any]) -> list[str]:
    """The first and the last of them."""
    return list(dict.fromkeys([next(iter(names)), next(reversed(list(names)))]))


def _effective(sections: Sections, steps: int) -> dict[str, dict[str, Any]]:
    """Without what has no effect, so that alike runs are told to be."""
    mine, train = dict(sections["mine"]), dict(sections["train"])
    if train.get("steps") == steps:
        del train["steps"]
    if not sections["run"]["rounds"]:
        mine = {}
    elif not mine["steps"]:
        del mine["step_size"], mine["objective"]
    return {**sections, "mine": mine, "train": train}


def _at_most(base: Sections, sections: Sections) -> dict[str, dict[str, Any]]:
    """The sections with the numbers of QUICK where those of a study are larger."""
    together = merged(base, sections)
    return {
        name: {
            key: min(value, QUICK.get(name, {}).get(key, value)) if isinstance(value, int) else value
            for key, value in section.items()
        }
        for name, section in together.items()
    }
