"""The answers that the evaluation of a run keeps, alone or beside those of another run to the same samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from pipeline import layout
from pipeline.artifacts.promised import read_checked
from pipeline.directory import Run
from pipeline.finite import unpack_figures
from pipeline.shards.answers import AnswersFormat
from pipeline.shards.limits import check_entry
from schemas.errors import UserError
from schemas.manifest import Manifest

_EVALUATION = "evaluation"


@dataclass(frozen=True)
class Answers:
    """The answers that an evaluation keeps."""

    run: Run
    manifest: Manifest

    @cached_property
    def format(self) -> AnswersFormat:
        task, width = self.manifest.details.get("task"), self.manifest.details.get("width")
        if task not in ("classification", "regression") or not isinstance(width, int) or not 0 < width < 2**31:
            raise UserError(
                f"{self.run.url}/{_EVALUATION} keeps no answers: an earlier version made it; "
                "make it anew with `bpkd evaluate CONFIG --restart`"
            )
        return AnswersFormat(task, width)

    @property
    def class_names(self) -> list[str]:
        names = self.manifest.details.get("classes")
        return [str(name) for name in names] if isinstance(names, list) else []

    @property
    def samples(self) -> int:
        return self.manifest.samples

    def tables(self) -> Iterator[pa.Table]:
        """Shard by shard.

        Raises:
            BpkdError: one is missing or damaged.
        """
        folder = self.run.folder / _EVALUATION
        for entry in self.manifest.files:
            if entry.samples:
                check_entry(entry, self.format.extent.size, f"{folder.url}/{entry.path}")
                try:
                    yield self.format.read(read_checked(folder, entry), entry.samples)
                except UserError as error:
                    raise UserError(f"{folder.url}/{entry.path}: {error}") from None

    def figures(self) -> dict[str, float]:
        """What `bpkd evaluate` printed.

        Raises:
            BpkdError: they are missing or damaged.
        """
        try:
            return unpack_figures(self.run.read(_EVALUATION, layout.FIGURES) or b"{}")
        except ValueError:
            raise UserError(f"{self.run.url}/{_EVALUATION}/{layout.FIGURES} is damaged") from None


def open_answers(run: Run) -> Answers | None:
    """Of a finished evaluation."""
    manifest = run.manifest(_EVALUATION)
    return Answers(run, manifest) if manifest else None


def side_by_side(first: Iterator[pa.Table], second: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Both in pieces of the same samples, however they are cut into shards.

    Raises:
        UserError: the samples are not the same ones.
    """
    left = right = None
    while True:
        left = next(first, None) if left is None or not left.num_rows else left
        right = next(second, None) if right is None or not right.num_rows else right
        if left is None and right is None:
            return
        if left is None or right is None:
            raise UserError(
                "the baseline was evaluated on more or on fewer samples; name a run with the same data.eval"
            )
        count = min(left.num_rows, right.num_rows)
        pair = left.slice(0, count), right.slice(0, count)
        if not pair[0]["key"].equals(pair[1]["key"]):
            raise UserError("the baseline was evaluated on other samples; name a run with the same data.eval")
        yield pair
        left, right = left.slice(count), right.slice(count)
