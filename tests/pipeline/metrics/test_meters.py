"""Every figure is its formula, labels that are unknown are left out, and the number of updates does not matter."""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.metrics import make_meter

Array = npt.NDArray[np.float64]
BINS = 15


def figures(task: str, teacher: Array, student: Array, labels: Array, updates: int = 1) -> dict[str, float]:
    """What the meter says when the samples come in so many batches."""
    meter = make_meter(task, teacher.shape[1])
    dtype = torch.int64 if task == "classification" else torch.float32
    for t, s, y in zip(*(np.array_split(values, updates) for values in (teacher, student, labels)), strict=True):
        meter.update(torch.tensor(t).float(), torch.tensor(s).float(), torch.tensor(y).to(dtype))
    return meter.compute()


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def classification(teacher: Array, student: Array, labels: Array) -> dict[str, float]:
    """The formulas, in numpy."""
    known = labels >= 0
    found = {
        "agreement": float((student.argmax(1) == teacher.argmax(1)).mean()),
        "gap": float(((teacher - student) ** 2).sum(1).mean()),
    }
    if not known.any():
        return found
    student, labels = student[known], labels[known].astype(int)
    probabilities = softmax(student)
    right, confidence = student.argmax(1) == labels, probabilities.max(1)
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    ece = 0.0
    for index in range(BINS):
        inside = number == index
        if inside.any():
            ece += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    nll = -np.log(probabilities[np.arange(len(labels)), labels])
    return {**found, "accuracy": float(right.mean()), "nll": float(nll.mean()), "ece": float(ece)}


def regression(teacher: Array, student: Array, labels: Array) -> dict[str, float]:
    known = ~np.isnan(labels).any(axis=1)
    found = {"gap": float(((teacher - student) ** 2).sum(1).mean())}
    if not known.any():
        return found
    errors, targets = (student - labels)[known], labels[known]
    found |= {"mse": float((errors**2).mean()), "mae": float(np.abs(errors).mean())}
    if known.sum() > 1:
        found["r2"] = float(1 - (errors**2).sum() / ((targets - targets.mean()) ** 2).sum())
    return found


def random_case(samples: int, width: int, unknown: int, task: str, scale: float = 3.0) -> tuple[Array, Array, Array]:
    """Teacher and student outputs, and labels of which the last `unknown` are not known."""
    draw = np.random.default_rng([samples, width, unknown])
    teacher = draw.normal(size=(samples, width)) * scale
    student = teacher + draw.normal(size=(samples, width)) * scale / 2
    if task == "classification":
        labels = draw.integers(0, width, samples).astype(float)
        labels[samples - unknown :] = -1
    else:
        labels = teacher + draw.normal(size=(samples, width))
        labels[samples - unknown :] = np.nan
    return teacher, student, labels


CASES = [(1, 2, 0), (40, 2, 0), (200, 10, 0), (200, 10, 60), (50, 100, 49), (30, 5, 30)]


@pytest.mark.parametrize(("samples", "width", "unknown"), CASES)
@pytest.mark.parametrize("scale", [0.5, 3.0, 30.0])
def test_classification_figures_are_their_formulas(samples: int, width: int, unknown: int, scale: float) -> None:
    case = random_case(samples, width, unknown, "classification", scale)
    assert figures("classification", *case) == pytest.approx(classification(*case), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("samples", "width", "unknown"), [(1, 1, 0), (2, 1, 0), (50, 1, 0), (50, 1, 20), (40, 3, 7)])
def test_regression_figures_are_their_formulas(samples: int, width: int, unknown: int) -> None:
    case = random_case(samples, width, unknown, "regression")
    assert figures("regression", *case) == pytest.approx(regression(*case), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("updates", [2, 3, 60])
def test_several_updates_equal_one(task: str, updates: int) -> None:
    """Among them updates of one sample, with and without its label."""
    case = random_case(60, 4, 25, task)
    assert figures(task, *case, updates=updates) == pytest.approx(figures(task, *case), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("task", "labelled"), [("classification", {"accuracy", "nll", "ece"}), ("regression", {"mse", "mae", "r2"})]
)
def test_without_labels_only_the_teacher_is_compared(task: str, labelled: set[str]) -> None:
    teacher, student, labels = random_case(20, 3, 20, task)
    found = figures(task, teacher, student, labels)
    assert not labelled & found.keys()
    assert found["gap"] == pytest.approx(((teacher - student) ** 2).sum(1).mean(), rel=1e-5)


LN3 = math.log(3)


@pytest.mark.parametrize(
    ("teacher", "student", "labels", "expected"),
    [
        # Sure at 3/4 of class 1, and right: nll ln 4/3, 1/4 short of its accuracy.
        ([[0, LN3]], [[0, LN3]], [1], {"accuracy": 1, "agreement": 1, "gap": 0, "nll": math.log(4 / 3), "ece": 0.25}),
        # The same, and wrong.
        ([[0, LN3]], [[LN3, 0]], [1], {"accuracy": 0, "agreement": 0, "gap": 2 * LN3**2, "nll": LN3 + math.log(4 / 3)}),
        # Three of four right at 3/4: calibrated.
        ([[0, 1]] * 4, [[0, LN3]] * 4, [1, 1, 0, 1], {"accuracy": 0.75, "agreement": 1, "ece": 0}),
    ],
)
def test_classification_by_hand(
    teacher: list[list[float]], student: list[list[float]], labels: list[int], expected: dict[str, float]
) -> None:
    found = figures("classification", np.array(teacher), np.array(student), np.array(labels))
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_regression_by_hand() -> None:
    labels = np.array([[1.0], [2.0], [3.0], [math.nan]])
    found = figures("regression", np.zeros((4, 1)), np.array([[1.0], [2.0], [5.0], [9.0]]), labels)
    assert found == pytest.approx({"mse": 4 / 3, "mae": 2 / 3, "r2": 1 - 4 / 2, "gap": (1 + 4 + 25 + 81) / 4})


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_answers_that_are_no_numbers_count_and_warn_of_nothing(task: str) -> None:
    """Of a student that diverged: a mean over the others would be that of another student."""
    teacher, student = np.ones((4, 3)), np.ones((4, 3))
    student[1] = np.nan
    labels = np.zeros(4) if task == "classification" else np.ones((4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = figures(task, teacher, student, labels)
    assert all(math.isnan(found[name]) for name in (("gap", "nll") if task == "classification" else ("gap", "mse")))
