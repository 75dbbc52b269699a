"""Settings from a validation split that is cut from the training split: the test split chooses nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from comparison import QUICK_STEPS, Comparison, Result, Scale, Sections, make_teacher, run_all

from paper.tables import describe

FIRST_SEED = 100
"""Of a search; its seeds are none of the comparison."""


@dataclass(frozen=True)
class Runs:
    """The runs of a comparison: seed -> directory of its data, the folder of the runs, and whether they are quick."""

    comparison: Comparison
    splits: Callable[[int], str]
    work: Path
    quick: bool

    def scale(self, seed: int) -> Scale:
        steps, epochs = (QUICK_STEPS, 1) if self.quick else (self.comparison.steps, self.comparison.epochs)
        return Scale(self.splits(seed), self.work, steps, epochs)

    def make(self, seeds: Sequence[int], jobs: int) -> list[Result]:
        """The students of all methods; the quick ones with the first seed only."""
        seeds = seeds[:1] if self.quick else seeds
        self.work.mkdir(parents=True, exist_ok=True)
        make_teacher(self.comparison, self.scale(seeds[0]))
        methods = list(self.comparison.methods)
        return run_all([(self.comparison, name, seed, self.scale(seed)) for seed in seeds for name in methods], jobs)


@dataclass(frozen=True)
class Stages:
    """A search: stage after stage the best of all candidates is kept, and the next stage adds to it.

    Attributes:
        stages: candidates of each stage.
        begin: a method searched before, whose choice is the beginning.
    """

    stages: Sequence[Sequence[Sections]]
    begin: str | None = None


@dataclass(frozen=True)
class Goal:
    """The figure whose mean over so many seeds is to be `best`: max or min."""

    figure: str
    best: Callable[..., Any]
    seeds: int = 3

    def mean(self, results: Sequence[Result]) -> float:
        return float(sum(getattr(result, self.figure) for result in results)) / len(results)


def grid(axes: Mapping[str, Sequence[Any]]) -> list[Sections]:
    """All combinations of values of keys such as "mine.step_size"."""
    keys = [key.split(".") for key in axes]
    return [
        merged(*({section: {name: value}} for (section, name), value in zip(keys, values, strict=True)))
        for values in product(*axes.values())
    ]


def merged(*all_sections: Sections) -> Sections:
    """The last to set a key has its way."""
    found: dict[str, dict[str, Any]] = {}
    for sections in all_sections:
        for name, section in sections.items():
            found[name] = {**found.get(name, {}), **section}
    return found


def search(
    searches: Mapping[str, Stages], goal: Goal, runs: Runs, jobs: int
) -> tuple[list[dict[str, Any]], dict[str, Sections]]:
    """Try all candidates of all methods on the validation split.

    Returns:
        Every candidate with its method, settings and results; and by method the settings that did best.
    """
    tried: list[dict[str, Any]] = []
    chosen: dict[str, Sections] = {}
    for method, how in searches.items():
        best = merged(chosen[how.begin] if how.begin else {}, runs.comparison.methods[method])
        for candidates in how.stages:
            settings = [merged(best, candidate) for candidate in candidates]
            names = {f"{method} {describe(sections)}": sections for sections in settings}
            own = replace(runs, comparison=replace(runs.comparison, methods=names))
            results = own.make(range(FIRST_SEED, FIRST_SEED + goal.seeds), jobs)
            of = {name: [result for result in results if result.method == name] for name in names}
            tried += [
                {"method": method, "settings": sections, "results": [asdict(result) for result in of[name]]}
                for name, sections in names.items()
            ]
            means = {name: goal.mean(found) for name, found in of.items()}
            best = names[goal.best(means, key=means.__getitem__)]
        chosen[method] = best
    return tried, chosen
