from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.distill.losses.base import Loss
from pipeline.distill.losses.dkd import Decoupled
from pipeline.distill.losses.hard import cross_entropy, known, squared_error
from pipeline.distill.losses.js import JensenShannon
from pipeline.distill.losses.kl import KullbackLeibler
from pipeline.distill.losses.mse import MeanSquaredError
from schemas.errors import UserError
from schemas.registry import LOSSES

every_loss = pytest.mark.parametrize("name", LOSSES.names)


def batch(classes: int, scale: float, dtype: torch.dtype = torch.float32, samples: int = 5) -> tuple[Tensor, ...]:
    """Student, teacher and labels, of which every other one is unknown."""
    draw = torch.Generator().manual_seed(classes)
    student, teacher = (torch.randn(samples, classes, generator=draw, dtype=torch.float64) * scale for _ in range(2))
    labels = torch.randint(0, classes, (samples,), generator=draw)
    labels[::2] = -1
    return student.to(dtype), teacher.to(dtype), labels


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    return sum(float(a) * math.log(a / b) for a, b in zip(p, q, strict=True))


def reference(name: str, s: np.ndarray, t: np.ndarray, label: int, temperature: float) -> float:
    """One sample's loss, from the formulas as printed."""
    if name == "mse":
        return float(((s - t) ** 2).mean())
    p, q = softmax(t / temperature), softmax(s / temperature)
    if name == "kl":
        return temperature**2 * divergence(p, q)
    if name == "js":
        middle = (p + q) / 2
        return temperature**2 * (divergence(p, middle) + divergence(q, middle)) / 2
    y = label if label >= 0 else int(t.argmax())
    tckd = divergence(np.array([p[y], 1 - p[y]]), np.array([q[y], 1 - q[y]]))
    rest_p, rest_q = np.delete(p, y), np.delete(q, y)
    nckd = divergence(rest_p / rest_p.sum(), rest_q / rest_q.sum())
    return temperature**2 * (1.5 * tckd + 3.0 * nckd)


def build(name: str, temperature: float = 4.0) -> Loss:
    loss: Loss = LOSSES.build(name, {"alpha": 1.5, "beta": 3.0} if name == "dkd" else {}, temperature=temperature)
    return loss


@every_loss
@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_is_its_formula(name: str, classes: int, temperature: float) -> None:
    student, teacher, labels = batch(classes, scale=3.0, dtype=torch.float64)
    expected = [
        reference(name, s.numpy(), t.numpy(), int(y), temperature)
        for s, t, y in zip(*batch(classes, 3.0, torch.float64), strict=True)
    ]
    found = build(name, temperature)(student, teacher, labels)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)
    single = build(name, temperature)(student.float(), teacher.float(), labels)
    np.testing.assert_allclose(single.numpy(), expected, rtol=2e-4, atol=2e-5)


@every_loss
@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_is_finite_and_not_negative(name: str, classes: int, scale: float, temperature: float) -> None:
    student, teacher, labels = batch(classes, scale)
    student.requires_grad_()
    loss = build(name, temperature)(student, teacher, labels)
    (gradient,) = torch.autograd.grad(loss.sum(), student)
    assert loss.shape == (5,)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()
    assert (loss >= -1e-5).all()
    assert (loss > 0).any()
    assert gradient.abs().sum() > 0 or (name == "js" and scale > 1)  # where p and q do not overlap, JS is flat


@every_loss
@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_vanishes_with_its_gradient_where_the_two_agree(name: str, classes: int, scale: float) -> None:
    student, _, labels = batch(classes, scale)
    teacher = student.clone()
    student.requires_grad_()
    loss = build(name)(student, teacher, labels)
    (gradient,) = torch.autograd.grad(loss.sum(), student)
    torch.testing.assert_close(loss, torch.zeros(5), rtol=0, atol=1e-5)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-5)


@every_loss
@pytest.mark.parametrize("classes", [2, 10])
def test_gradient_is_that_of_the_value(name: str, classes: int) -> None:
    student, teacher, labels = batch(classes, scale=2.0, dtype=torch.float64)
    assert torch.autograd.gradcheck(partial(build(name), teacher=teacher, labels=labels), student.requires_grad_())


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_computes_half_precision_logits_in_float32(name: str, dtype: torch.dtype) -> None:
    student, teacher, labels = batch(10, 3.0, dtype)
    loss = build(name)(student, teacher, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, build(name)(student.float(), teacher.float(), labels), rtol=0, atol=0)


@every_loss
def test_of_one_sample_does_not_depend_on_the_batch(name: str) -> None:
    student, teacher, labels = batch(10, 3.0)
    whole = build(name)(student, teacher, labels)
    alone = torch.cat([build(name)(student[i : i + 1], teacher[i : i + 1], labels[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(whole, alone)


@every_loss
def test_of_no_samples_is_empty(name: str) -> None:
    assert build(name)(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).shape == (0,)


@pytest.mark.parametrize("name", ["kl", "js", "dkd"])
@given(shift=st.floats(-50, 50))
def test_ignores_a_shift_of_all_logits(name: str, shift: float) -> None:
    student, teacher, labels = batch(10, 3.0, torch.float64)
    torch.testing.assert_close(
        build(name)(student + shift, teacher, labels), build(name)(student, teacher, labels), rtol=1e-6, atol=1e-9
    )


@given(scale=st.floats(0, 1e4), temperature=st.floats(0.5, 20))
def test_js_is_symmetric_and_bounded(scale: float, temperature: float) -> None:
    student, teacher, labels = batch(10, scale)
    loss = JensenShannon(temperature=temperature)
    forth, back = loss(student, teacher, labels), loss(teacher, student, labels)
    torch.testing.assert_close(forth, back)
    assert (forth <= temperature**2 * math.log(2) * (1 + 1e-5)).all()


def test_dkd_parts_make_up_kl() -> None:
    """Equation 7 of the paper: KL = TCKD + (1 - p_target) NCKD."""
    student, teacher, labels = batch(10, 3.0, torch.float64)
    target = torch.where(labels >= 0, labels, teacher.argmax(1))
    p_target = (teacher / 4).softmax(1).gather(1, target[:, None])[:, 0]
    tckd = Decoupled(alpha=1, beta=0)(student, teacher, labels)
    nckd = Decoupled(alpha=0, beta=1)(student, teacher, labels)
    torch.testing.assert_close(tckd + (1 - p_target) * nckd, KullbackLeibler()(student, teacher, labels))


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_dkd_among_two_classes_has_no_other_class_part(scale: float) -> None:
    student, teacher, labels = batch(2, scale)
    assert Decoupled(alpha=0, beta=8)(student, teacher, labels).tolist() == [0.0] * 5


def test_dkd_refuses_a_single_class() -> None:
    with pytest.raises(UserError, match=r"at least 2 classes, got 1"):
        Decoupled()(torch.zeros(3, 1), torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "four", True])
@pytest.mark.parametrize("loss", [KullbackLeibler, JensenShannon, Decoupled])
def test_refuses_a_temperature_out_of_range(loss: type, value: object) -> None:
    with pytest.raises(UserError, match="temperature"):
        loss(temperature=value)


@pytest.mark.parametrize("value", [-0.1, math.nan, "one", False])
@pytest.mark.parametrize("option", ["alpha", "beta"])
def test_dkd_refuses_a_weight_out_of_range(option: str, value: object) -> None:
    with pytest.raises(UserError, match=option):
        Decoupled(**{option: value})  # type: ignore[arg-type]


def test_mse_takes_the_regression_width_of_one() -> None:
    loss = MeanSquaredError()(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [5.0]]), torch.tensor([-1, -1]))
    assert loss.tolist() == [1.0, 9.0]


def test_cross_entropy_is_zero_without_a_label() -> None:
    student = torch.tensor([[0.0, math.log(3.0)], [5.0, -5.0], [0.0, 0.0]], requires_grad=True)
    labels = torch.tensor([1, -1, 0])
    loss = cross_entropy(student, labels)
    (gradient,) = torch.autograd.grad(loss.sum(), student)
    torch.testing.assert_close(loss, torch.tensor([math.log(4 / 3), 0.0, math.log(2.0)]))
    assert gradient[1].tolist() == [0.0, 0.0]
    assert known(labels).tolist() == [True, False, True]


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_cross_entropy_is_finite(classes: int, scale: float) -> None:
    student, _, labels = batch(classes, scale)
    loss = cross_entropy(student.requires_grad_(), labels)
    (gradient,) = torch.autograd.grad(loss.sum(), student)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()


def test_squared_error_is_zero_without_a_target() -> None:
    nan = math.nan
    student = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    targets = torch.tensor([[0.0, 4.0], [nan, 1.0], [nan, nan]])
    loss = squared_error(student, targets)
    (gradient,) = torch.autograd.grad(loss.sum(), student)
    assert loss.tolist() == [2.5, 9.0, 0.0]
    assert gradient.tolist() == [[1.0, -2.0], [0.0, 6.0], [0.0, 0.0]]
    assert known(targets).tolist() == [True, True, False]


def test_squared_error_takes_one_target_per_sample() -> None:
    targets = torch.tensor([1.0, math.nan])
    assert squared_error(torch.tensor([[3.0], [3.0]]), targets).tolist() == [4.0, 0.0]
    assert known(targets).tolist() == [True, False]


@pytest.mark.parametrize("hard", [cross_entropy, squared_error])
def test_hard_losses_compute_half_precision_in_float32(hard: object) -> None:
    student = torch.tensor([[0.1], [0.3]]).half()
    labels = torch.tensor([0, 0]) if hard is cross_entropy else torch.tensor([1.0, 2.0])
    assert hard(student, labels).dtype == torch.float32  # type: ignore[operator]
