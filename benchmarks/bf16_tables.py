"""What `bf16_quality.py` has found, as tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from comparison import Result

PRECISIONS = ("fp32", "bf16")
WAYS = (("fp32", "fp32"), ("bf16", "bf16"), ("bf16", "fp32"))
"""Precision of the climbs, and of the run that their opponents are of."""


@dataclass(frozen=True)
class Gaps:
    """Means over the climbs of one round.

    Attributes:
        climbs: their precision.
        opponents: precision of the run that the opponent is of.
        before, after: as they are stored, computed in the precision of the climbs.
        seen: of the stored images, computed in fp32.
    """

    seed: int
    round: int
    climbs: str
    opponents: str
    before: float
    after: float
    seen: float


def gap_rows(gaps: Sequence[Gaps]) -> Iterator[list[str]]:
    """Heads, a row for each round and one for all: means over the seeds, of ratios with the standard error."""
    yield [
        *("round", "fp32: gap before", "after", "bf16: gap before", "after", "bf16 / fp32, as stored", "seen in fp32"),
        "against the same opponents, seen in fp32",
    ]
    rounds = sorted({gap.round for gap in gaps})
    for name, chosen in [*((str(number), [number]) for number in rounds), ("all", rounds)]:
        of = {way: partial(_by_seed, [gap for gap in gaps if gap.round in chosen], *way) for way in WAYS}
        fp32, bf16, same = of.values()
        yield [
            name,
            *(f"{statistics.mean(run(figure)):.2f}" for run in (fp32, bf16) for figure in ("before", "after")),
            *(_ratio(run(figure), fp32(figure)) for run, figure in ((bf16, "after"), (bf16, "seen"), (same, "seen"))),
        ]


def _by_seed(gaps: Sequence[Gaps], climbs: str, opponents: str, figure: str) -> list[float]:
    """The mean of a figure over the rounds, for every seed."""
    own = [gap for gap in gaps if (gap.climbs, gap.opponents) == (climbs, opponents)]
    seeds = sorted({gap.seed for gap in own})
    return [statistics.mean(getattr(gap, figure) for gap in own if gap.seed == seed) for seed in seeds]


def _ratio(bf16: Sequence[float], fp32: Sequence[float]) -> str:
    """Mean of the ratios, seed by seed, and its standard error."""
    ratios = [one / other for one, other in zip(bf16, fp32, strict=True)]
    return f"{statistics.mean(ratios):.4f}{_spread(ratios, len(ratios), digits=4)}"


def student_rows(students: Sequence[Result]) -> Iterator[list[str]]:
    """Heads, and each student's figures in per cent: mean ± standard deviation, and the mean of the paired differences
    ± its standard error."""
    yield ["student", "figure", "seeds", *PRECISIONS, "bf16 - fp32, paired"]
    for student in dict.fromkeys(result.student for result in students):
        for figure in ("accuracy", "agreement"):
            found = {
                (result.method, result.seed): 100 * getattr(result, figure)
                for result in students
                if result.student == student
            }
            seeds = sorted({seed for _, seed in found})
            differences = [found["bf16", seed] - found["fp32", seed] for seed in seeds]
            both = ([found[precision, seed] for seed in seeds] for precision in PRECISIONS)
            cells = [f"{statistics.mean(values):.2f}{_spread(values)}" for values in both]
            difference = f"{statistics.mean(differences):+.2f}{_spread(differences, len(seeds))}"
            yield [student, figure, str(len(seeds)), *cells, difference]


def _spread(values: Sequence[float], seeds: int = 1, digits: int = 2) -> str:
    """Standard deviation, with `seeds` the standard error; nothing of one value."""
    return f" ± {statistics.stdev(values) / seeds**0.5:.{digits}f}" if len(values) > 1 else ""
