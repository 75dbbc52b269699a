"""The methods that are compared, a line each, and the settings between which `--search` chooses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comparison import HERE, Sections, merged

from schemas.recipes import RECIPES

SEARCHED = HERE / "results" / "study_search.json"
"""What `--search` has found; before that, the first setting of each method holds."""


@dataclass(frozen=True)
class Method:
    """A way to teach a student.

    Attributes:
        sections: what makes it this method.
        settings: name -> what a search may set besides, the first by default.
    """

    sections: Sections
    settings: Mapping[str, Sections]


def _method(sections: Sections, settings: Mapping[str, Sections] | None = None) -> Method:
    return Method(sections, settings or {"": {}})


def _mine(key: str, values: Sequence[Any]) -> dict[str, Sections]:
    return {f"{key} {value}": {"mine": {key: value}} for value in values}


def _start(**options: Sequence[Any]) -> dict[str, Sections]:
    """Settings of a start; several options are varied together."""
    rows = zip(*options.values(), strict=True)
    found = [dict(zip(options, row, strict=True)) for row in rows]
    names = [", ".join(f"{key} {value}" for key, value in own.items()) for own in found]
    return {name: {"mine": {"start_options": own}} for name, own in zip(names, found, strict=True)}


_PLAIN: Sections = {"run": {"rounds": 0}, "mine": {"climbs": 1}}
_CLIMB: Sections = {"mine": {"climbs": 1}}
_FROM_NOISE = merged(_CLIMB, {"mine": {"start": "noise"}})

METHODS: dict[str, Method] = {
    "label-only": _method(merged(_PLAIN, {"train": {"alpha": 0.0}})),
    "plain KD": _method(_PLAIN),
    "KD + noise": _method({"mine": {"steps": 0, "start": "noise"}}, _start(std=[0.3, 0.1, 0.2, 0.5])),
    "KD + mixup": _method({"mine": {"steps": 0, "start": "mixup"}}, _start(alpha=[1.0, 0.2, 0.5, 2.0])),
    "KD + CutMix": _method({"mine": {"steps": 0, "start": "cutmix"}}, _start(alpha=[1.0, 0.2, 0.5, 2.0])),
    "KD + flips and crops": _method(
        {"mine": {"steps": 0, "start": "crop"}}, _start(pad=[2, 1, 4, 2], flip=[True, True, True, False])
    ),
    "KD + adversarial of the student": _method(
        merged(_CLIMB, {"mine": {"objective": "student"}}), _mine("step_size", [0.2, 0.05, 0.1, 0.4])
    ),
    "bpkd": _method(_CLIMB, _mine("step_size", [0.2, 0.1, 0.4, 0.8])),
    "bpkd from noise": _method(
        _FROM_NOISE,
        {
            f"std {std}, step_size {size}": {"mine": {"start_options": {"std": std}, "step_size": size}}
            for std, size in ((0.3, 0.2), (0.1, 0.2), (0.3, 0.4), (0.1, 0.4))
        },
    ),
    # Key by key, as a recipe counts less than what the other methods of a study are given.
    "bpkd share": _method(merged(_CLIMB, {"mine": RECIPES["share"].settings("image")})),
}


def methods(*names: str) -> dict[str, Sections]:
    """Methods, by default all, with the settings that a search has chosen for them."""
    chosen: dict[str, str] = json.loads(SEARCHED.read_text())["chosen"] if SEARCHED.exists() else {}
    found = {}
    for name in names or METHODS:
        own = METHODS[name]
        setting = chosen.get(name, next(iter(own.settings)))
        found[name] = merged(own.sections, own.settings[setting])
    return found


def candidates() -> dict[str, Sections]:
    """Every method with every setting that a search tries: "METHOD, SETTING" -> sections."""
    return {
        f"{name}, {setting}": merged(own.sections, sections)
        for name, own in METHODS.items()
        if len(own.settings) > 1
        for setting, sections in own.settings.items()
    }


def choose(agreement: Mapping[str, float]) -> dict[str, str]:
    """Method -> its best setting, given the mean agreement of `candidates`, or some of them; of equals the first."""
    found = {}
    for name, own in METHODS.items():
        tried = {setting: agreement[told] for setting in own.settings if (told := f"{name}, {setting}") in agreement}
        if tried:
            found[name] = max(tried, key=tried.__getitem__)
    return found
