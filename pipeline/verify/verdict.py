"""What verification finds, in memory that does not grow with the number of problems."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.shards.masks import Mask
from schemas.errors import clipped

LIMIT = 100
"""Problems that are listed; the others are counted."""

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as promised.

    Attributes:
        file: relative to the URL that was verified.
        key: of the sample, None where the file as a whole is meant.
        what: is wrong, in one line.
    """

    file: str
    key: str | None
    what: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, self.what) if part is not None)


@dataclass(frozen=True, slots=True)
class Relabelled:
    """What labelling stored inputs again with the teacher gave.

    Attributes:
        samples: how many were labelled.
        difference: between a new logit and the stored one, where it comes nearest to what is allowed, or exceeds it.
        allowed: there.
    """

    samples: int
    difference: float
    allowed: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one artifact, or of all in a run.

    Attributes:
        url: what was verified.
        artifacts: their names, such as "dataset", in the order of the work.
        files, bytes, samples: that the manifests promise.
        problems: the first 100.
        more: how many more problems there are.
        relabelled: None where no teacher was given or none was comparable.
        missing: paths of what a run is to have and has not yet; no problem, since every run begins so.
        not_begun: how many artifacts of later rounds are missing besides.
    """

    url: str
    artifacts: list[str]
    files: int
    bytes: int
    samples: int
    problems: list[Problem]
    more: int = 0
    relabelled: Relabelled | None = None
    missing: list[str] = field(default_factory=list)
    not_begun: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(slots=True)
class Findings:
    """Problems as they come.

    Attributes:
        prefix: of the files' names, for example "dataset/".
        problems: the first ones.
        count: of all.
    """

    prefix: str = ""
    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, file: str, key: str | None, what: str) -> None:
        """Note one problem; names and keys come from a file that may be hostile, so they are made printable."""
        self.count += 1
        if len(self.problems) < LIMIT:
            shown = None if key is None else clipped(key, _LONGEST)
            self.problems.append(Problem(clipped(self.prefix + file, _LONGEST), shown, clipped(what, _LONGEST)))

    def add_rows(self, file: str, keys: pa.Array, bad: Mask, what: str) -> None:
        """Note the same problem for every row of `keys` (N,) where `bad` (N,) is set."""
        rows = np.flatnonzero(bad)
        for row in rows[: LIMIT - len(self.problems)].tolist():
            self.add(file, keys[row].as_py(), what)
            rows = rows[1:]
        self.count += len(rows)

    def take(self, other: Findings) -> None:
        """Note what `other` has."""
        self.problems += other.problems[: LIMIT - len(self.problems)]
        self.count += other.count
