"""What a batch is trained towards is the weighted sum of its two formulas, over the samples that each is for."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.distill.criterion import Criterion
from pipeline.distill.pool import Batch
from schemas.registry import LOSSES

Array = npt.NDArray[np.float64]
TEMPERATURE = 4.0
ALPHAS = [0.0, 0.3, 1.0]


def batch(logits: Array, labels: Array) -> Batch:
    kind = torch.int64 if labels.ndim == 1 else torch.float64
    return Batch(torch.zeros(len(logits), 1), torch.tensor(logits), torch.tensor(labels).to(kind))


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def divergence(student: Array, teacher: Array) -> float:
    """T² KL(teacher || student), mean over the batch."""
    p, q = softmax(teacher / TEMPERATURE), softmax(student / TEMPERATURE)
    return float(TEMPERATURE**2 * (p * np.log(p / q)).sum(1).mean())


def log_likelihood(student: Array, labels: Array) -> float:
    """Cross-entropy, mean over the labelled samples; 0 where there are none."""
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        return 0.0
    return float(-np.log(softmax(student)[rows, labels[rows].astype(int)]).mean())


def squared(student: Array, targets: Array) -> float:
    """Squared error: mean over a sample's known targets, then over the samples that have one; 0 where none has."""
    targets = np.broadcast_to(targets, student.shape)
    rows = [row for row in range(len(student)) if not np.isnan(targets[row]).all()]
    if not rows:
        return 0.0
    return float(np.mean([np.nanmean((student[row] - targets[row]) ** 2) for row in rows]))


def outputs(samples: int, width: int) -> tuple[Array, Array]:
    draw = np.random.default_rng([samples, width])
    return draw.normal(size=(samples, width)) * 3, draw.normal(size=(samples, width)) * 3


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 1], [0, -1, 2, -1], [-1, -1, -1, 1], [-1] * 4], ids=["all", "some", "one", "none"]
)
def test_classification(alpha: float, labels: list[int]) -> None:
    student, teacher = outputs(4, 3)
    known = np.array(labels, dtype=float)
    loss, parts = Criterion(LOSSES.build("kl", temperature=TEMPERATURE), alpha)(
        torch.tensor(student), batch(teacher, known)
    )
    soft, hard = divergence(student, teacher), log_likelihood(student, known)
    assert loss.item() == pytest.approx(alpha * soft + (1 - alpha) * hard)
    assert {name: value.item() for name, value in parts.items()} == pytest.approx(
        {"distillation": soft if alpha > 0 else 0, "label": hard if alpha < 1 else 0}
    )


NAN = math.nan


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(
    ("width", "targets"),
    [
        (1, [[1.0], [2.0], [-3.0]]),
        (1, [[1.0], [NAN], [-3.0]]),
        (2, [[1.0, 5.0], [NAN, 2.0], [NAN, NAN]]),
        (2, [[NAN, NAN]] * 3),
        (3, [[NAN]] * 3),  # without labels there is one column, however many outputs there are
    ],
    ids=["all", "some", "some of a sample", "none", "no column of labels"],
)
def test_regression(alpha: float, width: int, targets: list[list[float]]) -> None:
    student, teacher = outputs(3, width)
    known = np.array(targets)
    loss, _ = Criterion(LOSSES.build("mse"), alpha, regression=True)(torch.tensor(student), batch(teacher, known))
    soft = float(((student - teacher) ** 2).mean(1).mean())
    assert loss.item() == pytest.approx(alpha * soft + (1 - alpha) * squared(student, known))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("regression", [False, True])
def test_gradient_flows_through_known_parts_only(alpha: float, regression: bool) -> None:
    """A sample without a label is moved by the teacher alone, and by nothing at alpha = 0; no gradient is NaN."""
    student, teacher = outputs(2, 3)
    labels = np.array([[1.0, NAN, 0.0], [NAN, NAN, NAN]]) if regression else np.array([2.0, -1.0])
    given = torch.tensor(student, requires_grad=True)
    criterion = Criterion(LOSSES.build("mse" if regression else "kl"), alpha, regression=regression)
    loss, parts = criterion(given, batch(teacher, labels))
    loss.backward()
    assert given.grad is not None and given.grad.isfinite().all()
    assert given.grad[0].abs().sum() > 0
    assert (given.grad[1].abs().sum() > 0) == (alpha > 0)
    assert not any(part.requires_grad for part in parts.values())


@pytest.mark.parametrize("alpha", ALPHAS)
def test_adding_unlabelled_samples_does_not_thin_out_the_labels(alpha: float) -> None:
    student, teacher = outputs(4, 3)
    criterion = Criterion(LOSSES.build("kl"), alpha)
    labels = np.array([0.0, 1.0, -1.0, -1.0])
    _, few = criterion(torch.tensor(student[:2]), batch(teacher[:2], labels[:2]))
    _, many = criterion(torch.tensor(student), batch(teacher, labels))
    assert few["label"].item() == many["label"].item()
