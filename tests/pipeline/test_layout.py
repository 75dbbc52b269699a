"""Where a run keeps its artifacts."""

from __future__ import annotations

import pytest

from pipeline import layout


def test_artifacts_are_in_the_order_in_which_they_are_made() -> None:
    assert [path for path, _ in layout.artifacts([1, 2], text=True, evaluated=True)] == [
        "teacher-logits",
        "embeddings",
        "round-01/opponent",
        "round-01/auxiliary",
        "round-02/opponent",
        "round-02/auxiliary",
        "dataset",
        "student",
        "evaluation",
    ]
    # Embeddings are mapped for climbs, of which there are none here.
    plain = layout.artifacts([], text=True, evaluated=False)
    assert [path for path, _ in plain] == ["teacher-logits", "dataset", "student"]


def test_each_place_is_that_of_its_stage_and_recognised() -> None:
    for path, kind in layout.artifacts([7, 123], text=True, evaluated=True):
        match = layout.ARTIFACT.fullmatch(f"{path}/")
        assert match and kind in layout.MADE_BY
        number = match["round"] and int(match["round"])
        make = getattr(layout, kind.replace("-", "_"))
        assert (make("run", number) if number else make("run")) == f"run/{path}"


@pytest.mark.parametrize(
    "name", ["round-01/", "round-01/dataset/", "x/dataset/", "datasets/", "times/", "round-/opponent/"]
)
def test_nothing_else_is_an_artifact(name: str) -> None:
    assert not layout.ARTIFACT.match(name)


def test_rounds_are_found_by_their_names() -> None:
    assert layout.rounds_in(["round-10", "dataset", "round-02", "round-x", "my-round-03", "round-100"]) == [2, 10, 100]
