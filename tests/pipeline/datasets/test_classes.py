"""Counting by class: in pieces as in one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.datasets.classes import ClassTally
from pipeline.shards.rows import RowFormat, Rows

FORM = RowFormat("array", "fp32", 4, (1,), "classification")
LABELS, CHOSEN, OWN = np.array([0, 0, 3, -1, -1, -1]), [0, 1, 3, 3, 3, 1], np.array([1, 1, 1, 1, 0, 0], np.bool_)
COUNTS = [[0, 2, 1, 0], [1, 0, 1, 1], [3, 1, 2, 1]]


def tally(*places: int) -> ClassTally:
    """Of some of six samples."""
    rows = Rows(
        [f"s{place}" if OWN[place] else f"s{place}+r01" for place in places],
        np.zeros((len(places), 1), np.float32),
        LABELS[[*places]],
        torch.eye(4)[[CHOSEN[place] for place in places]],
        OWN[[*places]],
    )
    found = ClassTally()
    for batch in FORM.encode(rows).to_batches():
        found.add(batch, FORM)
    return found


def test_all_at_once() -> None:
    assert tally(*range(6)).found() == COUNTS


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_pieces_add_up(cut: int) -> None:
    together = ClassTally()
    for piece in (tally(*range(cut)), tally(*range(cut, 6))):
        together.take(piece.found())
    assert together.found() == COUNTS


def test_classes_have_names_or_numbers() -> None:
    counts = tally(*range(6)).counts(["cat", "dog", "eel"])
    assert [(one.name, one.labelled, one.source, one.auxiliary) for one in counts] == [
        ("cat", 2, 1, 0), ("dog", 0, 1, 1), ("eel", 0, 0, 0), ("3", 1, 2, 1)
    ]  # fmt: skip


def test_a_label_that_is_no_class() -> None:
    labels = np.array([4])
    rows = Rows(["a"], np.zeros((1, 1), np.float32), labels, torch.eye(4)[:1], np.array([True]))
    with pytest.raises(ValueError, match="label 4, there are 4 classes"):
        ClassTally().add(FORM.encode(rows).to_batches()[0], FORM)
