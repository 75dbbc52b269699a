"""How good the student is on held-out samples, alone or beside a baseline, counted answer by answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.metrics.base import BINS
from pipeline.report.answers import Answers, side_by_side
from pipeline.report.figures import Bin, ClassFigure, Evaluation, Measure
from pipeline.report.statistics import Interval, Mean, share, share_difference
from schemas.errors import UserError, clipped

POINTS = 1000
"""Of a regression's plot, at most."""


def evaluate(own: Answers, baseline: Answers | None) -> Evaluation:
    """All figures; memory does not grow with the number of answers.

    Raises:
        UserError: the baseline was evaluated on other samples, or against another teacher.
        BpkdError: answers are missing or damaged.
    """
    tally: _Classes | _Numbers = _Classes(own.class_names) if own.format.task == "classification" else _Numbers(own)
    if baseline is None:
        for table in own.tables():
            tally.add(table, None)
    else:
        for key in ("eval", "teacher"):
            if own.manifest.fingerprint.get(key) != baseline.manifest.fingerprint.get(key):
                what = "on other samples" if key == "eval" else "against another teacher"
                raise UserError(f"{baseline.run.url} was evaluated {what} than {own.run.url}; name a run with the same")
        for pair in side_by_side(own.tables(), baseline.tables()):
            tally.add(*pair)
    figures, others = own.figures(), baseline.figures() if baseline else {}
    with_interval = {measure.name for measure in tally.measures()}
    return Evaluation(
        task=own.format.task,
        samples=own.samples,
        labelled=tally.labelled > 0,
        measures=tally.measures(),
        others={name: (value, others.get(name)) for name, value in figures.items() if name not in with_interval},
        classes=tally.classes(),
        bins=tally.bins(),
        ece=tally.ece(),
        points=tally.points,
        no_numbers=tally.no_numbers,
    )


@dataclass
class _Hits:
    """Samples that a student and a baseline may get right: how many, by either, and by one of them alone."""

    samples: int = 0
    own: int = 0
    baseline: int = 0
    gained: int = 0
    lost: int = 0

    def add(self, own: npt.NDArray[np.bool_], baseline: npt.NDArray[np.bool_] | None) -> None:
        self.samples += len(own)
        self.own += int(own.sum())
        if baseline is not None:
            self.baseline += int(baseline.sum())
            self.gained += int((own & ~baseline).sum())
            self.lost += int((~own & baseline).sum())

    def shares(self, compared: bool) -> tuple[Interval, Interval | None, Interval | None]:
        own = share(self.own, self.samples)
        if not compared:
            return own, None, None
        return own, share(self.baseline, self.samples), share_difference(self.gained, self.lost, self.samples)


class _Classes:
    """Counts of a classification.

    Args:
        names: of the classes.
    """

    def __init__(self, names: list[str]) -> None:
        self.points: list[tuple[float, float]] = []
        self.no_numbers = 0
        self._names, self._compared = names, False
        self._accuracy, self._agreement = _Hits(), _Hits()
        self._against: tuple[dict[int, _Hits], dict[int, _Hits]] = {}, {}  # the labels, and the teacher
        self._sure = np.zeros((2, 3, BINS))  # against labels and teacher: samples, confidence, hits

    @property
    def labelled(self) -> int:
        return self._accuracy.samples

    def add(self, own: pa.Table, baseline: pa.Table | None) -> None:
        self._compared |= baseline is not None
        student, teacher = own["student"].to_numpy(), own["teacher"].to_numpy()
        other = None if baseline is None else baseline["student"].to_numpy()
        label = own["label"].fill_null(-1).to_numpy()
        confidence = own["student_confidence"].to_numpy()
        self.no_numbers += int((~np.isfinite(confidence)).sum())
        for place, (wanted, total) in enumerate(((label, self._accuracy), (teacher, self._agreement))):
            known = wanted >= 0
            right = (student == wanted)[known]
            also = None if other is None else (other == wanted)[known]
            total.add(right, also)
            self._by_class(place, wanted[known], right, also)
            sure = np.isfinite(confidence[known])
            confident = confidence[known][sure]
            index = np.clip(np.ceil(confident * BINS).astype(int) - 1, 0, BINS - 1)
            for row, weights in enumerate((None, confident, right[sure])):
                self._sure[place, row] += np.bincount(index, weights, BINS)

    def _by_class(
        self, place: int, wanted: npt.NDArray[Any], right: npt.NDArray[np.bool_], also: npt.NDArray[np.bool_] | None
    ) -> None:
        for number in np.unique(wanted).tolist():
            of_class = wanted == number
            hits = self._against[place].setdefault(number, _Hits())
            hits.add(right[of_class], None if also is None else also[of_class])

    def measures(self) -> list[Measure]:
        totals = {"accuracy": self._accuracy, "agreement": self._agreement}
        return [
            Measure(name, True, "higher", hits.samples, *hits.shares(self._compared))
            for name, hits in totals.items()
            if hits.samples
        ]

    def classes(self) -> list[ClassFigure]:
        found = self._against[0 if self.labelled else 1]
        return [
            ClassFigure(
                clipped(self._names[number], 80) if number < len(self._names) else str(number),
                hits.samples,
                *hits.shares(self._compared),
            )
            for number, hits in sorted(found.items())
        ]

    def bins(self) -> list[Bin]:
        counts, confidence, right = self._sure[0 if self.labelled else 1]
        return [
            Bin(
                i / BINS,
                (i + 1) / BINS,
                int(counts[i]),
                confidence[i] / counts[i],
                share(int(right[i]), int(counts[i])),
            )
            for i in range(BINS)
            if counts[i]
        ]

    def ece(self) -> float | None:
        counts, confidence, right = self._sure[0 if self.labelled else 1]
        return float(np.abs(confidence - right).sum() / counts.sum()) if counts.sum() else None


@dataclass
class _Errors:
    """A mean over samples of the student, of a baseline, and of their difference."""

    own: Mean = field(default_factory=Mean)
    baseline: Mean = field(default_factory=Mean)
    difference: Mean = field(default_factory=Mean)

    def add(self, own: npt.NDArray[np.float64], baseline: npt.NDArray[np.float64] | None) -> None:
        pairs = [(self.own, own)]
        if baseline is not None:
            pairs += [(self.baseline, baseline), (self.difference, own - baseline)]
        for mean, values in pairs:
            if len(values):
                with np.errstate(invalid="ignore", over="ignore"):  # of a student that diverged nothing is known
                    mean.add(len(values), float(values.mean()), float(values.var()))

    def measure(self, name: str) -> Measure:
        compared = self.baseline.count > 0
        intervals = [mean.interval() if compared else None for mean in (self.baseline, self.difference)]
        return Measure(name, False, "lower", self.own.count, self.own.interval(), *intervals)


class _Numbers:
    """Means of a regression; of some samples, spread over all, also the answers.

    Args:
        answers: how many there are.
    """

    def __init__(self, answers: Answers) -> None:
        self.points: list[tuple[float, float]] = []
        self.no_numbers = 0
        self._every = -(-answers.samples // POINTS) or 1
        self._seen = 0
        self._mse, self._gap = _Errors(), _Errors()

    @property
    def labelled(self) -> int:
        return self._mse.own.count

    def add(self, own: pa.Table, baseline: pa.Table | None) -> None:
        known = own["label"].is_valid().to_numpy()
        label = _matrix(own["label"].filter(pa.array(known)))
        student = _matrix(own["student"])
        other = None if baseline is None else _matrix(baseline["student"])
        self.no_numbers += int((~np.isfinite(student)).any(axis=1).sum())
        if len(label):
            wrong = ((student[known] - label) ** 2).mean(axis=1)
            self._mse.add(wrong, None if other is None else ((other[known] - label) ** 2).mean(axis=1))
        gap = [table["gap"].to_numpy().astype(np.float64) for table in (own, baseline) if table is not None]
        self._gap.add(gap[0], gap[1] if baseline is not None else None)
        wanted = np.full(len(student), np.nan)
        wanted[known] = label[:, 0] if len(label) else []
        for row in range(-self._seen % self._every, len(student), self._every):
            if np.isfinite(wanted[row]) and np.isfinite(student[row, 0]):
                self.points.append((float(wanted[row]), float(student[row, 0])))
        self._seen += len(student)

    def measures(self) -> list[Measure]:
        both = {"mse": self._mse, "gap": self._gap}
        return [errors.measure(name) for name, errors in both.items() if errors.own.count]

    def classes(self) -> list[ClassFigure]:
        return []

    def bins(self) -> list[Bin]:
        return []

    def ece(self) -> float | None:
        return None


def _matrix(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Lists of as many numbers -> (N, K)."""
    rows = column.to_pylist()
    return np.array(rows, np.float64).reshape(len(rows), -1)
