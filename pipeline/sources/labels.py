"""From the labels that a source holds to class indices or regression targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline.sources.base import Label, Record
from schemas.errors import UserError

UNKNOWN = -1
_MAX_CLASSES = 2**31


class Labels(Protocol):
    """How one task's labels become an array."""

    def encode(self, records: Sequence[Record], file: str) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        """Labels of N records; `file` is for messages.

        Raises:
            UserError: a label that does not fit the task.
        """


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """Class indices, int64 (N,), -1 where unknown (no label, NaN or -1).

    Attributes:
        names: of the classes, in the order of the teacher's outputs, where known.
        classes: how many there are, where known.
        own: the names behind the source's own indices where these are another list than `names`.
    """

    names: list[str] | None = None
    classes: int | None = None
    own: list[str] | None = None

    def encode(self, records: Sequence[Record], file: str) -> npt.NDArray[np.int64]:
        index = {name: number for number, name in enumerate(self.names or ())}
        # Where the names are numbers themselves, "0" is a name or nothing, never an index.
        numeric = all(as_number(name) is None for name in index)
        labels = np.empty(len(records), np.int64)
        for row, record in enumerate(records):
            number = self._index(record.label, index, numeric)
            if number is None:
                raise UserError(f"{file}: sample {record.key} has label {record.label!r}; {self._takes()}")
            labels[row] = number
        return labels

    def _index(self, label: Label | list[float], index: dict[str, int], numeric: bool) -> int | None:
        """The class of one label, None where there is no such class."""
        if isinstance(label, list) and len(label) == 1:
            label = label[0]
        if label is None:
            return UNKNOWN
        if isinstance(label, str):
            if label in index:
                return index[label]
            label = as_number(label) if numeric else None
        if not isinstance(label, int | float) or math.isinf(label):
            return None
        if math.isnan(label) or label == UNKNOWN:
            return UNKNOWN
        number = int(label)
        bound = (self.classes or _MAX_CLASSES) if self.own is None else len(self.own)
        if number != label or not 0 <= number < bound:
            return None
        return number if self.own is None else index.get(self.own[number])

    def _takes(self) -> str:
        if self.names is not None:
            shown = ", ".join(self.names[:10]) + (f" and {len(self.names) - 10} more" if len(self.names) > 10 else "")
            return f"the {len(self.names)} classes are {shown} (data.classes can list others)"
        if self.classes is not None:
            return f"data.classes = {self.classes} takes 0 to {self.classes - 1}, or -1 for unknown"
        return (
            'class indices from 0 are taken, or names with data.classes = [...]; numbers need data.task = "regression"'
        )


@dataclass(frozen=True, slots=True)
class Targets:
    """Numbers to regress on, float32 (N, width), NaN where unknown."""

    width: int

    def encode(self, records: Sequence[Record], file: str) -> npt.NDArray[np.float32]:
        targets = np.full((len(records), self.width), np.nan, np.float32)
        for row, record in enumerate(records):
            values = numbers(record, file)
            if values is not None and len(values) != self.width:
                raise UserError(
                    f"{file}: sample {record.key} has {len(values)} target numbers, the first one has {self.width}"
                )
            if values is not None:
                targets[row] = values
        return targets


def numbers(record: Record, file: str) -> list[float] | None:
    """A record's regression target, None where it has none.

    Raises:
        UserError: the label is no number, or infinite.
    """
    label = record.label
    if label is None:
        return None
    try:
        values = [
            math.nan if value is None else float(value) for value in (label if isinstance(label, list) else [label])
        ]
    except (TypeError, ValueError):
        values = [math.inf]
    if any(math.isinf(value) for value in values):
        raise UserError(f"{file}: sample {record.key} has label {label!r}; regression takes finite numbers")
    return values


def resolve_classes(
    given: int | list[str] | None, known: list[str] | None, setting: str
) -> tuple[list[str] | None, int | None]:
    """Names and number of the classes from `data.classes` and from what the data knows.

    Raises:
        UserError: a name twice, or a number that is not that of the data's names.
    """
    if isinstance(given, list):
        twice = next((name for name in given if given.count(name) > 1), None)
        if twice is not None or not given:
            raise UserError(f"data.classes names {twice!r} twice" if given else "data.classes is empty")
        return given, len(given)
    if known is None:
        return None, given
    if given is not None and given != len(known):
        raise UserError(
            f"data.classes = {given}, but {setting} names {len(known)} classes ({', '.join(known[:10])}); "
            f"leave data.classes out or list the {given} names"
        )
    return known, len(known)


def as_number(text: str) -> float | None:
    """The number that a text spells, None where it spells none."""
    try:
        return float(text)
    except ValueError:
        return None
