"""Labels become indices or targets; what fits neither names the sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pipeline.sources.base import Record
from pipeline.sources.labels import ClassLabels, Targets, resolve_classes
from schemas.errors import UserError

NAN = math.nan
cats = ["cat", "dog", "eel"]


def records(*labels: Any) -> list[Record]:
    return [Record(f"k{index}", None, label) for index, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("classes", "labels", "expected"),
    [
        (ClassLabels(), [0, 7, None, NAN, -1, 2.0, "3", [4]], [0, 7, -1, -1, -1, 2, 3, 4]),
        (ClassLabels(classes=3), [0, 2, True], [0, 2, 1]),
        (ClassLabels(cats, 3), ["dog", 2, "1", None], [1, 2, 1, -1]),
        (ClassLabels(["10", "20"], 2), ["20", "10", 1], [1, 0, 1]),
        (ClassLabels(cats, 3, own=["eel", "cat"]), [0, 1, "dog", -1], [2, 0, 1, -1]),
        (ClassLabels(), [], []),
    ],
)
def test_class_labels(classes: ClassLabels, labels: list[Any], expected: list[int]) -> None:
    encoded = classes.encode(records(*labels), "f")
    assert encoded.dtype == np.int64
    assert encoded.tolist() == expected


@pytest.mark.parametrize(
    ("classes", "label", "message"),
    [
        (ClassLabels(cats, 3), "cow", "f: sample k0 has label 'cow'; the 3 classes are cat, dog, eel"),
        (ClassLabels(cats, 3), 3, "label 3;"),
        (ClassLabels(classes=3), 3, "data.classes = 3 takes 0 to 2"),
        (ClassLabels(["10", "20"], 2), "0", "label '0'"),
        (ClassLabels(cats, 3, own=["eel", "yak"]), 1, "label 1;"),
        (ClassLabels(cats, 3, own=["eel"]), 1, "label 1;"),
        (ClassLabels(), -2, "label -2"),
        (ClassLabels(), 0.5, 'data.task = "regression"'),
        (ClassLabels(), math.inf, "inf"),
        (ClassLabels(), 10**30, "label 1000"),
        (ClassLabels(), "cat", "data.classes"),
        (ClassLabels(), [1, 2], r"label \[1, 2\]"),
        (ClassLabels(), {"a": 1}, "label"),
    ],
)
def test_wrong_class_labels(classes: ClassLabels, label: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        classes.encode(records(label), "f")


@pytest.mark.parametrize(
    ("width", "labels", "expected"),
    [
        (1, [1, 2.5, "3", None, NAN], [[1.0], [2.5], [3.0], [NAN], [NAN]]),
        (2, [[1, 2], None, [3, None]], [[1.0, 2.0], [NAN, NAN], [3.0, NAN]]),
    ],
)
def test_targets(width: int, labels: list[Any], expected: list[list[float]]) -> None:
    encoded = Targets(width).encode(records(*labels), "f")
    assert encoded.dtype == np.float32
    assert np.array_equal(encoded, np.array(expected, np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("label", "message"),
    [("cat", "label 'cat'; regression takes"), (math.inf, "finite"), ([1, 2], "2 target numbers, the first one has 1")],
)
def test_wrong_targets(label: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Targets(1).encode(records(label), "f")


@pytest.mark.parametrize(
    ("given", "known", "expected"),
    [
        (None, None, (None, None)),
        (3, None, (None, 3)),
        (None, cats, (cats, 3)),
        (3, cats, (cats, 3)),
        (["a", "b"], cats, (["a", "b"], 2)),
    ],
)
def test_classes_from_config_and_data(given: Any, known: Any, expected: Any) -> None:
    assert resolve_classes(given, known, "data.train") == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [(5, "data.classes = 5, but data.train names 3 classes"), (["a", "b", "a"], "'a' twice"), ([], "empty")],
)
def test_wrong_classes(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve_classes(given, cats, "data.train")
