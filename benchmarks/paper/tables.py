"""Tables of the paper's experiments from their stored results: JSON in, rows of text out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rows = list[list[str]]
"""Heads, then lines."""


@dataclass(frozen=True)
class Figure:
    """A figure of `comparison.Result`: what it is called in the heads, its factor, and digits after the point."""

    key: str
    head: str
    factor: float = 100.0
    digits: int = 1

    def of(self, results: Sequence[Mapping[str, Any]]) -> list[float]:
        return [self.factor * result[self.key] for result in results]

    def shown(self, value: float, sign: str = "") -> str:
        return f"{value:{sign}.{self.digits}f}"


ACCURACY, AGREEMENT = Figure("accuracy", "accuracy, %"), Figure("agreement", "agreement, %")
GAP = Figure("gap", "gap", 1.0, 2)


def result_rows(report: Mapping[str, Any], figures: Sequence[Figure], against: str = "plain KD") -> Rows:
    """Heads, and a row for each models and method, over all seeds.

    Args:
        report: what an experiment writes.
        figures: mean ± standard deviation of each; of the first also the median, lowest and highest, and the mean of
            the differences to another method, seed by seed, ± its standard error.
        against: the method that the others are compared with.
    """
    first = figures[0]
    heads = ["models", "method", "stored", "seeds", *(figure.head for figure in figures)]
    rows = [[*heads, f"{first.head}: median", "lowest to highest", f"less {against}, paired"]]
    for models, method in dict.fromkeys((result["models"], result["method"]) for result in report["results"]):
        results = _of(report, models, method)
        values, base = first.of(results), first.of(_of(report, models, against))
        rows.append(
            [
                *(models, method, f"{results[0]['stored']:,}", str(len(results))),
                *(_spread(figure, figure.of(results)) for figure in figures),
                first.shown(statistics.median(values)),
                f"{first.shown(min(values))} to {first.shown(max(values))}",
                _paired(first, values, base) if base and method != against else "",
            ]
        )
    return _without_one_models(rows)


def tried_rows(search: Mapping[str, Any], figure: Figure) -> Rows:
    """Heads, and a row for each setting that was tried on the validation split: mean ± standard deviation over the
    search's seeds, in bold where it was chosen."""
    rows = [["models", "method", "settings", f"{figure.head}, validation"]]
    for tried in search["tried"]:
        models, method, settings = (tried[key] for key in ("models", "method", "settings"))
        mark = "**" if search["chosen"][models][method] == settings else ""
        row = [models, method, describe(settings), f"{mark}{_spread(figure, figure.of(tried['results']))}{mark}"]
        if row not in rows:  # a later stage tries again what was the best before
            rows.append(row)
    return _without_one_models(rows)


def setting_rows(report: Mapping[str, Any]) -> Rows:
    """Heads, and a row for each models and method: what sets the method apart."""
    rows = [["models", "method", "settings"]]
    for models, settings in report["settings"].items():
        rows += [[models, method, describe(sections)] for method, sections in settings["methods"].items()]
    return _without_one_models(rows)


def describe(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Sections of a config in a line, such as "rounds 3, step_size 0.2"."""
    flat: dict[str, Any] = {}
    for section in sections.values():
        for key, value in section.items():
            flat |= value if isinstance(value, Mapping) else {key: value}
    return ", ".join(f"{key} {value}" for key, value in flat.items())


def _of(report: Mapping[str, Any], models: str, method: str) -> list[Mapping[str, Any]]:
    """In the order of their seeds, which are the same for all methods."""
    found = [result for result in report["results"] if (result["models"], result["method"]) == (models, method)]
    return sorted(found, key=lambda result: result["seed"])


def _without_one_models(rows: Rows) -> Rows:
    """Without the first column, where it says the same everywhere."""
    return rows if len({row[0] for row in rows[1:]}) > 1 else [row[1:] for row in rows]


def _spread(figure: Figure, values: Sequence[float]) -> str:
    """Mean ± standard deviation, which is 0 of one value."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{figure.shown(statistics.mean(values))} ± {figure.shown(deviation)}"


def _paired(figure: Figure, values: Sequence[float], base: Sequence[float]) -> str:
    differences = [value - other for value, other in zip(values, base, strict=True)]
    error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
    return f"{figure.shown(statistics.mean(differences), '+')} ± {figure.shown(error)}"
