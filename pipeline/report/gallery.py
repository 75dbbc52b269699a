"""A few auxiliary samples beside their parents, with what both models say of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ValidationError

from pipeline import layout
from pipeline.datasets import Dataset, open_dataset
from pipeline.datasets.classes import class_name
from pipeline.datasets.dataset import require_known_rows, row_format
from pipeline.datasets.pairs import STUDENT, choose_pairs
from pipeline.datasets.tokens import moved_tokens
from pipeline.directory import Run
from pipeline.lazy import torch
from pipeline.logits import spread_out
from pipeline.report.figures import Answer, Pair, Shown
from pipeline.report.pictures import difference, picture
from pipeline.shards.limits import Extent, check_format, extent
from pipeline.shards.origins import AUXILIARY
from pipeline.shards.parquet import read_parquet
from pipeline.shards.rows import RowFormat
from pipeline.text.comparison import compare
from pipeline.text.sentences import Sentence
from schemas.dataset import RowsSpec
from schemas.errors import SampleError, UserError, clipped

NUMBERS, MOVED, WORDS = 8, 8, 120
"""Of an array, of perturbed text, and of a text: what is shown, at most."""


@dataclass(frozen=True)
class _Chosen:
    """The samples that are shown: their format, and their rows, with the student's logits where it was asked."""

    rows: RowFormat
    table: pa.Table
    dataset: Dataset | None


def pairs(run: Run) -> list[Pair]:
    """Auxiliary samples in the order of their rounds; of each round the one with the largest gap first.

    Those for which the evaluation has the student's answers; without one, those of the data set.

    Raises:
        UserError, BpkdError: what should hold them is damaged, or names code of the user's own, which is not run.
    """
    chosen = _choose(run)
    return _Gallery(run, chosen).pairs() if chosen and chosen.table.num_rows else []


def _choose(run: Run) -> _Chosen | None:
    dataset = open_dataset(layout.dataset(run.url)) if run.manifest("dataset") else None
    data, manifest = run.read("evaluation", layout.GALLERY), run.manifest("evaluation")
    if data is None or manifest is None:
        return _Chosen(dataset.rows, choose_pairs(dataset), dataset) if dataset else None
    place = f"{run.url}/evaluation/{layout.GALLERY}"
    try:
        spec = RowsSpec.model_validate(manifest.details.get("gallery"))
    except ValidationError as error:
        raise UserError(f"{place}: {clipped(error.errors()[0]['msg'])}") from None
    require_known_rows(place, spec, ())
    rows = row_format(spec)
    check_format(rows, place)
    one = extent(rows)
    with_student = Extent(one.size + 4 * rows.width, max(one.values, rows.width))
    try:
        return _Chosen(rows, read_parquet(data, rows.schema.append(STUDENT), with_student), dataset)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None


class _Gallery:
    """The rows, decoded once."""

    def __init__(self, run: Run, chosen: _Chosen) -> None:
        self._run, self._rows, self._dataset = run, chosen.rows, chosen.dataset
        asked = STUDENT.name in chosen.table.column_names
        self._student = np.array(chosen.table[STUDENT.name].to_pylist(), np.float64) if asked else None
        table = chosen.table.drop_columns([STUDENT.name]) if asked else chosen.table
        try:
            decoded = chosen.rows.decode(table)
        except (SampleError, ValueError) as error:
            raise UserError(f"{run.url}: {error}") from None
        self._stored, self._labels = decoded.stored, decoded.labels
        self._teacher = spread_out(decoded.logits).numpy().astype(np.float64)
        # The gap is measured on logits, all of them, and by the objective that the climbs were for.
        dense = isinstance(decoded.logits, torch.Tensor)
        self._measured = dense and asked and run.setting("mine", "objective") == "l2"
        columns = ["key", "origin", "parent_key", "round", "gap_before", "gap_after"]
        self._facts: list[dict[str, Any]] = table.select(columns).to_pylist()
        self._place = {fact["key"]: row for row, fact in enumerate(self._facts)}

    def pairs(self) -> list[Pair]:
        return [self._pair(row, fact) for row, fact in enumerate(self._facts) if fact["origin"] == AUXILIARY]

    def _pair(self, row: int, fact: Mapping[str, Any]) -> Pair:
        parent = self._place.get(fact["parent_key"])
        picture_of, change = None, ""
        if parent is not None and self._rows.kind == "image":
            picture_of, largest = difference(self._stored[parent], self._stored[row])
            change = f"largest change {100 * largest:.0f} % of the range"
        elif parent is not None and self._rows.kind == "array":
            distance = np.linalg.norm(self._stored[row].astype(np.float64) - self._stored[parent])
            change = f"distance {distance:.3g}"
        return Pair(
            parent=None if parent is None else self._shown(parent, row),
            auxiliary=self._shown(row, parent),
            round=fact["round"],
            gap_before=fact["gap_before"],
            gap_after=fact["gap_after"],
            gap_now=self._gap(row),
            difference=picture_of,
            change=change,
            moved=self._moved(self._stored[row]),
        )

    def _gap(self, row: int) -> float | None:
        if self._student is None or not self._measured:
            return None
        return float(((self._teacher[row] - self._student[row]) ** 2).sum())

    def _shown(self, row: int, other: int | None) -> Shown:
        key, content, kind = self._facts[row]["key"], self._stored[row], self._rows.kind
        beside = None if other is None else self._stored[other]
        answers = self._answers(row)
        if kind == "image":
            return Shown(key, answers, image=picture(content), size=(content.shape[2], content.shape[1]))
        if kind == "text":
            return Shown(key, answers, words=_words(content, beside))
        return Shown(key, answers, numbers=self._numbers(content, beside))

    def _answers(self, row: int) -> list[tuple[str, Answer]]:
        models = [("teacher", self._teacher[row])]
        models += [("student", self._student[row])] if self._student is not None else []
        if self._rows.task == "regression":
            label = self._labels[row]
            known = [] if np.isnan(label).all() else [("label", Answer(_outputs(label)))]
            return [*known, *((name, Answer(_outputs(outputs))) for name, outputs in models)]
        first = int(self._teacher[row].argmax())
        names = self._rows.class_names or ()
        label = int(self._labels[row])
        known = [("label", Answer(class_name(names, label), label != first))] if label >= 0 else []
        return [*known, *((name, _choice(logits, names, first)) for name, logits in models)]

    def _numbers(self, content: npt.NDArray[Any], beside: npt.NDArray[Any] | None) -> list[tuple[str, str]]:
        """Those that differ most from the other sample's."""
        columns = self._run.setting("data", "columns")
        given = columns.get("features") if isinstance(columns, dict) else None
        names = given if isinstance(given, list) and len(given) == len(content) else range(len(content))
        change = np.zeros(len(content)) if beside is None else np.abs(content - beside)
        most = np.argsort(-change, kind="stable")[:NUMBERS].tolist()
        return [(clipped(str(names[i]), 40), f"{content[i]:.4g}") for i in most]

    def _moved(self, content: Any) -> list[tuple[str, str]]:
        if not isinstance(content, Sentence) or content.perturbed is None or self._dataset is None:
            return []
        moved = moved_tokens(self._dataset, content.perturbed)[:MOVED]
        return [
            (clipped(str(token.id if token.token is None else token.token), 40), f"{token.shift:.2g}")
            for token in moved
        ]


def _choice(logits: npt.NDArray[np.float64], names: Sequence[str], wanted: int) -> Answer:
    first = int(logits.argmax())
    weights = np.exp(logits - logits.max())
    sure = weights[first] / weights.sum()
    return Answer(f"{clipped(class_name(tuple(names), first), 40)} ({100 * sure:.0f} %)", first != wanted)


def _outputs(values: npt.NDArray[Any]) -> str:
    more = ", …" if len(values) > 3 else ""
    return ", ".join(f"{value:.4g}" for value in values[:3]) + more


def _words(content: Sentence, beside: Sentence | None) -> list[list[tuple[str, bool]]]:
    """The words of each text, with marks where both samples are plain text; none of what has no text."""
    if content.perturbed is not None:
        return []
    if beside is None or beside.perturbed is not None:
        return [[(word, False) for word in text.split()[:WORDS]] for text in content.texts]
    compared = [compare(old, new) for old, new in zip(beside.texts, content.texts, strict=True)]
    return [
        [(clipped(piece.after, 200), piece.changed) for piece in pieces[:WORDS] if piece.after] for pieces in compared
    ]
