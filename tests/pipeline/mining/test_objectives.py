from __future__ import annotations

import math

import pytest
import torch

from schemas.registry import OBJECTIVES


@pytest.mark.parametrize("name", OBJECTIVES.names)
@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_finite_with_finite_gradient_for_extreme_logits(name, classes, scale):
    generator = torch.Generator().manual_seed(0)
    teacher, student = (scale * torch.randn(8, classes, generator=generator) for _ in range(2))
    student.requires_grad_(True)
    gap = OBJECTIVES.build(name)(teacher, student)
    assert gap.shape == (8,) and gap.isfinite().all() and (gap >= -1e-6).all()
    (gradient,) = torch.autograd.grad(gap.sum(), student)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", [name for name in OBJECTIVES.names if name != "student"])
def test_zero_at_agreement_and_positive_elsewhere(name):
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    objective = OBJECTIVES.build(name)
    assert torch.allclose(objective(logits, logits), torch.zeros(4, dtype=torch.float64), atol=1e-12)
    assert (objective(logits, logits.flip(1)) > 0).all()


@pytest.mark.parametrize("name", ["kl", "js"])
def test_probabilities_ignore_a_shift_of_the_logits(name):
    teacher, student = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    objective = OBJECTIVES.build(name)
    assert torch.allclose(objective(teacher + 3, student - 7), objective(teacher, student))


def test_jensen_shannon_is_symmetric_and_bounded():
    teacher, student = 50 * torch.randn(2, 64, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    objective = OBJECTIVES.build("js", {"temperature": 1.0})
    assert torch.allclose(objective(teacher, student), objective(student, teacher))
    assert (objective(teacher, student) <= math.log(2) + 1e-12).all()


def test_the_student_alone_is_unsure_where_its_answers_are_alike_whatever_the_teacher_says():
    sure, unsure = torch.tensor([[8.0, 0.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    objective = OBJECTIVES.build("student")
    for teacher in (sure, sure.flip(1)):
        assert objective(teacher, sure) < 0.001
        assert objective(teacher, unsure).item() == pytest.approx(math.log(2 + math.exp(-1)))
    assert (objective(sure, 1e4 * torch.eye(3)) == 0).all()


def test_the_student_alone_climbs_towards_its_second_answer():
    teacher, student = torch.zeros(1, 3), torch.tensor([[2.0, 1.0, -1.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(OBJECTIVES.build("student")(teacher, student).sum(), student)
    assert gradient[0, 0] < 0 < gradient[0, 2] < gradient[0, 1]


def test_an_option_that_it_does_not_take_is_named():
    with pytest.raises(Exception, match="'l2' does not take 'temperature'"):
        OBJECTIVES.build("l2", {"temperature": 2.0})
