"""The metrics that a config may ask for: by hand, against scikit-learn and numpy, and where they are not defined."""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.metrics import check_metrics, make_meter
from schemas.errors import UserError

Array = npt.NDArray[np.float64]


def classified(name: str, predicted: list[int], labels: list[int], classes: int, updates: int = 1) -> dict[str, float]:
    """All figures for a student that predicts this."""
    student = torch.eye(classes)[torch.tensor(predicted)] * 3
    meter = make_meter("classification", classes, [name])
    for logits, known in zip(student.tensor_split(updates), torch.tensor(labels).tensor_split(updates), strict=True):
        meter.update(torch.zeros_like(logits), logits, known)
    return meter.compute()


def regressed(name: str, outputs: Array, labels: Array, updates: int = 1) -> dict[str, float]:
    meter = make_meter("regression", outputs.shape[1], [name])
    pairs = zip(np.array_split(outputs, updates), np.array_split(labels, updates), strict=True)
    for student, known in pairs:
        values = torch.tensor(student).float()
        meter.update(torch.zeros_like(values), values, torch.tensor(known).float())
    return meter.compute()


@pytest.mark.parametrize(
    ("name", "predicted", "labels", "classes", "expected"),
    [
        # 2 hits of 3 predicted and of 4 true ones: precision 2/3, recall 1/2.
        ("f1", [1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 1, 0], 2, 4 / 7),
        ("f1", [0, 0, 0], [0, 0, 1], 2, 0.0),
        # Per class 2/3, 1/2 and 0; class 3 is nowhere and does not count.
        ("f1", [0, 0, 1, 1], [0, 1, 1, 2], 4, (2 / 3 + 1 / 2 + 0) / 3),
        # tp 2, fp 1, fn 2, tn 1.
        ("matthews", [1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 1, 0], 2, (2 * 1 - 1 * 2) / math.sqrt(3 * 4 * 2 * 3)),
        ("matthews", [1, 0, 1], [1, 0, 1], 2, 1.0),
        ("matthews", [0, 1, 0], [1, 0, 1], 2, -1.0),
        ("matthews", [0, 1, 2, 2], [0, 1, 2, 2], 3, 1.0),
    ],
)
def test_classification_by_hand(
    name: str, predicted: list[int], labels: list[int], classes: int, expected: float
) -> None:
    assert classified(name, predicted, labels, classes)[name] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "outputs", "labels", "expected"),
    [
        ("pearson", [1, 2, 3, 4], [2, 4, 6, 8], 1.0),
        # Deviations -1, 0, 1 and -1, 2, -1 do not go together at all.
        ("pearson", [1, 2, 3], [1, 4, 1], 0.0),
        # Deviations -2, -1, 3 and -1, 0, 1.
        ("pearson", [0, 1, 5], [0, 1, 2], 5 / math.sqrt(14 * 2)),
        ("spearman", [1, 10, 100, 1000], [1, 2, 3, 4], 1.0),
        ("spearman", [3, 2, 1], [1, 2, 3], -1.0),
        # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
        ("spearman", [1, 2, 2, 9], [1, 2, 3, 4], 4.5 / math.sqrt(4.5 * 5)),
    ],
)
def test_regression_by_hand(name: str, outputs: list[float], labels: list[float], expected: float) -> None:
    found = regressed(name, np.array(outputs, float)[:, None], np.array(labels, float)[:, None])
    assert found[name] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("samples", [1, 5, 300])
@pytest.mark.parametrize("name", ["f1", "matthews"])
def test_as_scikit_learn_has_it(name: str, samples: int, classes: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng([samples, classes])
    labels, predicted = draw.integers(0, classes, (2, samples))
    predicted[::2] = labels[::2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        average = "binary" if classes == 2 else "macro"
        expected = (
            metrics.f1_score(labels, predicted, average=average, zero_division=0)
            if name == "f1"
            else metrics.matthews_corrcoef(labels, predicted)
        )
    found = classified(name, predicted.tolist(), labels.tolist(), classes, updates=min(3, samples))
    assert found[name] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("samples", [2, 9, 400])
@pytest.mark.parametrize("updates", [1, 7, 400])
def test_correlations_as_numpy_has_them(samples: int, updates: int) -> None:
    """Labels come in few values, far from zero, and in batches of any size."""
    draw = np.random.default_rng(samples)
    labels = 1000 + draw.permutation(np.arange(samples) % 6)[:, None].astype(float)
    outputs = (labels + draw.normal(size=labels.shape)).round(1)
    values, ranks = (np.concatenate([a, b], axis=1) for a, b in ((outputs, labels), (rank(outputs), rank(labels))))
    expected = [np.corrcoef(both.T)[0, 1] for both in (values, ranks)]
    found = [regressed(name, outputs, labels, min(updates, samples))[name] for name in ("pearson", "spearman")]
    assert found == pytest.approx(expected, abs=1e-4)


def rank(values: Array) -> Array:
    """(N, 1) -> mean number of values that are at most as large as each."""
    return np.asarray(((values > values.T).sum(axis=1) + (values >= values.T).sum(axis=1))[:, None] / 2)


def test_many_equal_ranks() -> None:
    """More than fit into 32 bits when summed."""
    labels = np.repeat([0.0, 1.0], 150_000)[:, None]
    assert regressed("spearman", labels * 2, labels)["spearman"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("predicted", "labels"), [([1] * 10, [1] * 7 + [0] * 3), ([0, 1], [1, 1]), ([1, 1], [1, 1]), ([0], [1])]
)
def test_matthews_of_constants_is_zero(predicted: list[int], labels: list[int]) -> None:
    assert classified("matthews", predicted, labels, 2)["matthews"] == 0.0


@pytest.mark.parametrize("name", ["pearson", "spearman"])
@pytest.mark.parametrize(("outputs", "labels"), [([2, 2, 2], [1, 2, 3]), ([1, 2, 3], [0, 0, 0]), ([1, 1], [1, 1])])
def test_correlation_with_constants_is_zero_and_says_nothing(
    name: str, outputs: list[float], labels: list[float]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = regressed(name, np.array(outputs, float)[:, None], np.array(labels, float)[:, None])
    assert found[name] == 0.0


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_correlation_is_of_the_first_of_several_targets(name: str) -> None:
    outputs = np.array([[1.0, 9.0], [2.0, 1.0], [3.0, 4.0]])
    labels = np.array([[5.0, 1.0], [6.0, 2.0], [7.0, 3.0]])
    assert regressed(name, outputs, labels)[name] == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_one_sample_has_no_correlation(name: str) -> None:
    found = regressed(name, np.ones((3, 1)), np.array([[1.0], [math.nan], [math.nan]]))
    assert name not in found
    assert "mse" in found


@pytest.mark.parametrize(
    ("task", "names"), [("classification", ["f1", "matthews"]), ("regression", ["pearson", "spearman"])]
)
def test_without_labels_there_is_no_figure(task: str, names: list[str]) -> None:
    meter = make_meter(task, 2, names)
    labels = torch.full((4,), -1) if task == "classification" else torch.full((4, 2), math.nan)
    meter.update(torch.ones(4, 2), torch.ones(4, 2), labels)
    assert not set(names) & meter.compute().keys()


def test_unknown_labels_do_not_count() -> None:
    assert classified("matthews", [1, 0, 1, 0], [1, 0, -1, -1], 2)["matthews"] == 1.0
    outputs, labels = np.array([[1.0], [2.0], [9.0]]), np.array([[1.0], [2.0], [math.nan]])
    assert regressed("pearson", outputs, labels)["pearson"] == pytest.approx(1.0)


def test_order_of_the_figures() -> None:
    meter = make_meter("classification", 2, ["matthews", "f1"])
    meter.update(torch.eye(2), torch.eye(2), torch.arange(2))
    assert list(meter.compute()) == ["accuracy", "agreement", "gap", "nll", "ece", "matthews", "f1"]


@pytest.mark.parametrize(
    ("task", "names", "message"),
    [
        ("classification", ["f1", "pearson"], 'pearson is for regression; data.task = "classification" takes f1, matt'),
        ("regression", ["f1"], 'f1 is for classification; data.task = "regression" takes pearson, spearman'),
    ],
)
def test_a_metric_for_another_task(task: str, names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_metrics(task, names)
