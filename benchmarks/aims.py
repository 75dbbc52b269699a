"""What was aimed at, and whether it is met: lines for docs/performance.md, from stored results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import growth
import plan_error
import streaming
from timing import Seconds, ratio

AT_LEAST, AT_MOST = "at least", "at most"


@dataclass(frozen=True)
class Aim:
    """A figure that has a limit.

    Attributes:
        what: it is of.
        side: AT_LEAST or AT_MOST, of its amount without the sign.
        limit: for it.
        found: measured, by name.
        form: how a figure is written.
    """

    what: str
    side: str
    limit: float
    found: Mapping[str, float]
    form: str = "{:.2f} x"

    def met(self, value: float) -> bool:
        return abs(value) >= self.limit if self.side == AT_LEAST else abs(value) <= self.limit

    def __str__(self) -> str:
        limit = self.form.format(self.limit).lstrip("+")
        parts = [f"- {self.what}: {self.side} {limit} aimed at"]
        for met, word in ((True, "met by"), (False, "**missed** by")):
            named = [
                f"{name} ({self.form.format(value)})" for name, value in self.found.items() if self.met(value) == met
            ]
            parts += [f"{word} {_joined(named)}"] if named else []
        return "; ".join(parts) + "."


def lines(aims: Iterable[Aim]) -> str:
    """A list in Markdown."""
    return "\n".join(map(str, aims))


def of_climb(report: dict[str, Any]) -> Iterator[Aim]:
    wanted = {
        "small ResNet": {"fp32": 2.0, "bf16": 4.0},
        "small CNN": {"fp32": 1.8, "bf16": 3.0},
        "MiniLM": {"fp32": 1.3, "bf16": 1.3},
    }
    for name, limits in wanted.items():
        for precision, limit in limits.items():
            found = ratio(report["seconds"][name], "foolbox", f"bpkd {precision}")
            yield Aim(f"{name}, of foolbox", AT_LEAST, limit, {precision: found})


def of_stages(report: dict[str, Any]) -> Iterator[Aim]:
    for stage, bare, limit in (("cache", "forward", 0.95), ("mine", "climb", 0.90)):
        found = {name.replace(", ", " in "): ratio(ways, bare, stage) for name, ways in report["seconds"].items()}
        yield Aim(f"`bpkd {stage}`, of the bare {bare}", AT_LEAST, limit, found, "{:.0%}")


def of_training(report: dict[str, Any]) -> Iterator[Aim]:
    for way in ("stored logits", "stored logits and labels"):
        found = {_short(name): ratio(ways, way, "labels alone") for name, ways in report["seconds"].items()}
        yield Aim(f"A step with {way}, of one with labels alone", AT_MOST, 1.05, found)


def of_streaming(report: dict[str, Any]) -> Iterator[Aim]:
    found = {
        f"{_short(student)} {way.replace(',', ' from')}": streaming.median(runs, "waiting")
        for student, ways in report["runs"].items()
        for way, runs in ways.items()
        if way.startswith("streamed")
    }
    yield Aim("Waiting", AT_MOST, 0.05, found, "{:.1%}")


def of_shards(report: dict[str, Any]) -> Iterator[Aim]:
    for what in ("reading", "writing"):
        seconds: Seconds = report[what]
        ours = [name for name in seconds if name.startswith("bpkd")]
        others = [name for name in seconds if name not in ours]
        found = {name.removeprefix("bpkd, "): min(ratio(seconds, other, name) for other in others) for name in ours}
        yield Aim(f"{what.capitalize()}, of the fastest other", AT_LEAST, 1.0, found)


def of_growth(found: growth.Found) -> Iterator[Aim]:
    found = {stage.replace(", ", " of "): costs for stage, costs in found.items()}
    slower = {stage: taken for stage, costs in found.items() if (taken := growth.time_growth(costs)) is not None}
    yield Aim("Time of an added sample, of that in the step before", AT_MOST, growth.TIME_LIMIT, slower, "{:.2f}")
    larger = {stage: growth.memory_growth(costs) for stage, costs in found.items()}
    yield Aim("Memory, of that at the size before", AT_MOST, growth.MEMORY_LIMIT, larger, "{:.2f}")


def of_plan(report: dict[str, Any]) -> Iterator[Aim]:
    errors = plan_error.errors(report)
    for figure in plan_error.FIGURES:
        for crew in report["crews"]:
            found = {stage: error for (of, stage, name), error in errors.items() if (of, name) == (crew, figure)}
            yield Aim(f"{figure.capitalize()} with {crew}, off by", AT_MOST, plan_error.LIMIT, found, "{:+.0%}")


def _short(student: str) -> str:
    """Without its weights."""
    return "the wider student" if "wider" in student else "the student"


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
