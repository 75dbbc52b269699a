"""What a report shows, as plain values: gathered from a run's artifacts, and all that the page is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.report.statistics import Interval


@dataclass(frozen=True)
class Stage:
    """One artifact of a run.

    Attributes:
        name: its path in the run.
        kind: of artifact.
        command: that makes it.
        state: finished, unfinished or missing.
        samples, files, bytes: of it, with the manifest left out.
        failures: samples given up.
        seconds: that it took; None where that is not known.
        manifest: SHA-256 of its manifest.
        hashes: (path, bytes, SHA-256) of its files.
        made_from: its fingerprint.
    """

    name: str
    kind: str
    command: str
    state: str
    samples: int = 0
    files: int = 0
    bytes: int = 0
    failures: int = 0
    seconds: float | None = None
    manifest: str = ""
    hashes: Sequence[tuple[str, int, str]] = ()
    made_from: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """All artifacts of one kind together.

    Attributes:
        name: what was done.
        command: that does it.
        artifacts, done: how many there are in the end, and how many are finished.
        samples, failures, bytes: of those that are finished.
        seconds: of those whose time is known.
        timed: how many these are.
    """

    name: str
    command: str
    artifacts: int
    done: int
    samples: int
    failures: int
    bytes: int
    seconds: float
    timed: int


@dataclass(frozen=True)
class Curve:
    """One training: `steps` are those of all trainings so far, and each point is the mean of an epoch."""

    name: str
    steps: list[int]
    loss: list[float]


@dataclass(frozen=True)
class Gap:
    """Of the auxiliary samples of a round: (mean, lower quartile, median, upper quartile) of their gaps."""

    round: int
    samples: int
    before: tuple[float, float, float, float]
    after: tuple[float, float, float, float]


@dataclass(frozen=True)
class Measure:
    """One figure of the student on held-out samples.

    Attributes:
        name: of it, for example accuracy.
        percent: whether it is a fraction that is shown in per cent.
        better: higher or lower.
        samples: that it is computed from.
        own: of the run; without ends where these are not known.
        baseline: of the baseline.
        difference: own - baseline, over the same samples.
    """

    name: str
    percent: bool
    better: str
    samples: int
    own: Interval
    baseline: Interval | None = None
    difference: Interval | None = None


@dataclass(frozen=True)
class ClassFigure:
    """How many of the held-out samples of a class the student gets right, and the same of the baseline."""

    name: str
    samples: int
    own: Interval
    baseline: Interval | None = None
    difference: Interval | None = None


@dataclass(frozen=True)
class Bin:
    """The samples that the student is about as sure of: how many, how sure on average, and the share that is right."""

    low: float
    high: float
    samples: int
    confidence: float
    correct: Interval


@dataclass(frozen=True)
class Evaluation:
    """What is known of the student on held-out data.

    Attributes:
        task: classification or regression.
        samples: that could be read.
        labelled: whether accuracy is against labels; else the classes and the calibration are against the teacher.
        measures: of the run, perhaps beside those of a baseline.
        others: name -> (figure of the run, of the baseline) of what has no interval.
        classes: of a classification.
        bins: of a classification, by how sure the student is.
        ece: expected calibration error over `bins`.
        points: of a regression, (wanted, student's answer) of the first output of some samples.
        no_numbers: how many answers of the student are none, as those of one whose training diverged.
    """

    task: str
    samples: int
    labelled: bool
    measures: list[Measure]
    others: dict[str, tuple[float, float | None]]
    classes: list[ClassFigure]
    bins: list[Bin]
    ece: float | None
    points: list[tuple[float, float]]
    no_numbers: int = 0


@dataclass(frozen=True)
class Answer:
    """What a model says of a sample, in words; `differs` where the other model says something else."""

    text: str
    differs: bool = False


@dataclass(frozen=True)
class Shown:
    """A sample that is shown, in the form of its kind.

    Attributes:
        key: of it.
        answers: (model, what it says), the teacher first.
        image: a data URL.
        size: pixels, (width, height) of the image as it is stored.
        words: for each text its words, and whether the other sample of the pair has others in their place.
        numbers: (name, value) of some numbers of an array.
    """

    key: str
    answers: list[tuple[str, Answer]]
    image: str | None = None
    size: tuple[int, int] = (0, 0)
    words: list[list[tuple[str, bool]]] = field(default_factory=list)
    numbers: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Pair:
    """An auxiliary sample beside its parent, which is None where the data set does not have it near by.

    Attributes:
        round: that mined it.
        gap_before, gap_after: of its climb, against the student of that round.
        gap_now: squared L2 distance of the finished student's logits from the teacher's; None where not known.
        difference: a data URL.
        change: what the difference is, in words.
        moved: (token, how far) of perturbed text.
    """

    parent: Shown | None
    auxiliary: Shown
    round: int
    gap_before: float
    gap_after: float
    gap_now: float | None
    difference: str | None = None
    change: str = ""
    moved: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Baseline:
    """Another run to compare with.

    Attributes:
        name: what it is called on the page.
        url: of it.
        plain: whether its student saw no auxiliary samples.
        steps: of the optimiser that its student took, those of the opponents that it was included; None: not known.
        differences: (key of the config, of the run, of the baseline) where the configs differ in what matters.
    """

    name: str
    url: str
    plain: bool
    steps: int | None
    differences: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Figures:
    """All of a report.

    Attributes:
        name, url: of the run.
        bpkd: version that made its artifacts.
        kind: of its samples.
        rounds: that its config has.
        config: text of its config.toml.
        stages: its artifacts in the order in which they are made.
        costs: of all of a kind.
        notes: what could not be shown, and why.
        steps: as of a baseline.
        epochs: whether the budget is given in passes over the data, which are longer with auxiliary samples.
        fresh_opponents: whether each round's opponent begins with new weights.
        held_out: whether the config names held-out samples.
        not_begun: how many artifacts of further rounds there will be beside `stages`.
    """

    name: str
    url: str
    bpkd: str
    kind: str
    rounds: int
    config: str
    stages: list[Stage]
    costs: list[Cost]
    curves: list[Curve]
    gaps: list[Gap]
    evaluation: Evaluation | None
    baseline: Baseline | None
    pairs: list[Pair]
    notes: list[str]
    steps: int | None = None
    epochs: bool = False
    fresh_opponents: bool = False
    held_out: bool = False
    not_begun: int = 0

    @property
    def missing(self) -> list[Stage]:
        return [stage for stage in self.stages if stage.state != "finished"]

    @property
    def empty_rounds(self) -> list[Stage]:
        """Climbs that are finished and left no auxiliary sample."""
        return [s for s in self.stages if s.kind == "auxiliary" and s.state == "finished" and not s.samples]
