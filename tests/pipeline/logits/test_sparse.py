"""Outputs on a few of many classes: what is stored is what was kept, and losses take it as they take all classes."""

from __future__ import annotations

import io
import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.logits import Codec, SparseLogits, concatenated, most_likely, spread_out
from schemas.errors import RowError, UserError
from schemas.registry import CODECS, LOSSES

NAMES = ("topk", "sampled")
SIZE = {"topk": "k", "sampled": "draws"}


def codec(name: str, width: int, size: int = 8, temperature: float = 4.0) -> Codec:
    return CODECS.build(name, {SIZE[name]: size}, width=width, temperature=temperature)


def random(count: int, width: int, seed: int = 0) -> torch.Tensor:
    return 5 * torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def compress(made: Codec, logits: torch.Tensor, seed: int = 0) -> SparseLogits:
    found = made.compress(logits, torch.Generator().manual_seed(seed))
    assert isinstance(found, SparseLogits)
    return found


def same(one: SparseLogits, other: SparseLogits) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("classes", "logits", "rest"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [2, 5, 100, 70_000])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_columns_and_files_hold_what_was_kept(name: str, width: int, count: int) -> None:
    made = codec(name, width)
    kept = compress(made, random(count, width))
    column = made.encode(kept)
    assert column.type == made.column_type(width) and len(column) == count
    assert same(made.decode(column), kept)
    assert made.valid(column).tolist() == [True] * count
    members = made.to_members(column)
    assert tuple(members) == made.extensions
    assert made.from_members(members, width).equals(column)
    assert same(made.decode(column.slice(count // 2)), kept[count // 2 :])
    again = CODECS.build(name, made.options, width=width)
    assert same(again.decode(column), kept)
    for files in members.values():
        assert all(np.load(io.BytesIO(file), allow_pickle=False).dtype.kind in "uf" for file in files)


@pytest.mark.parametrize(("name", "size"), [("topk", 4 * 8 + 4), ("sampled", 3 * 8)])
def test_bytes_of_a_sample(name: str, size: int) -> None:
    column = codec(name, 1000).encode(compress(codec(name, 1000), random(10, 1000)))
    assert column.nbytes == 10 * size


def test_the_largest_are_kept_and_the_rest_has_its_mass() -> None:
    logits, temperature = random(6, 50), 2.0
    kept = compress(codec("topk", 50, 5, temperature), logits)
    shares = (logits / temperature).softmax(1)
    own, teacher = kept.reduced(logits, temperature)
    for found in (own, teacher):
        reduced = found.softmax(1)
        assert torch.allclose(reduced[:, :5], shares.topk(5)[0], atol=1e-3)
        assert torch.allclose(reduced[:, 5], 1 - shares.topk(5)[0].sum(1), atol=1e-3)
    assert torch.equal(most_likely(kept), logits.argmax(1))
    assert torch.allclose((spread_out(kept) / temperature).softmax(1).topk(5)[0], shares.topk(5)[0], atol=1e-3)


def test_drawn_shares_are_unbiased() -> None:
    logits = random(1, 20).repeat(4000, 1)
    kept = compress(codec("sampled", 20, 16), logits)
    shares = torch.zeros(4000, 20).scatter_add_(1, kept.classes.long(), kept.logits.exp())
    assert torch.allclose(shares.sum(1), torch.ones(4000))
    wanted = (logits[0] / 4).softmax(0)
    error = (wanted * (1 - wanted) / 16 / 4000).sqrt()
    assert ((shares.mean(0) - wanted).abs() < 5 * error + 1e-6).all()
    assert same(kept, compress(codec("sampled", 20, 16), logits)), "the generator alone decides"
    assert not same(kept, compress(codec("sampled", 20, 16), logits, seed=1))


@pytest.mark.parametrize("loss", ["kl", "js", "dkd", "mse"])
@pytest.mark.parametrize("labels", [[-1, -1, -1, -1], [0, 3, 5, -1]])
def test_with_all_classes_kept_a_loss_is_that_of_all_classes(loss: str, labels: list[int]) -> None:
    teacher = random(4, 6).half().float()
    kept = compress(codec("topk", 6, 6), teacher)
    function = LOSSES.build(loss, {}, temperature=4.0)
    losses, gradients = [], []
    for given in (teacher, kept):
        student = random(4, 6, seed=1).requires_grad_(True)
        found = function(student, given, torch.tensor(labels))
        losses.append(found)
        gradients.append(torch.autograd.grad(found.sum(), student)[0])
    assert torch.allclose(*losses, rtol=1e-4, atol=1e-5)
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["kl", "js", "dkd"])
@pytest.mark.parametrize("name", NAMES)
def test_losses_are_finite_and_smallest_where_the_student_is_the_teacher(name: str, loss: str) -> None:
    teacher = random(4, 40)
    kept = compress(codec(name, 40, 255 if name == "sampled" else 8), teacher)
    function = LOSSES.build(loss, {}, temperature=4.0)
    labels = torch.tensor([0, 39, -1, 7])
    there, away = function(teacher, kept, labels), function(random(4, 40, seed=1), kept, labels)
    assert there.isfinite().all() and away.isfinite().all()
    assert (there < away).all()
    student = torch.zeros(4, 40, requires_grad=True)
    (gradient,) = torch.autograd.grad(function(student, kept, labels).sum(), student)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


def test_the_gradient_of_drawn_classes_is_that_of_all_on_average() -> None:
    teacher, student = random(1, 30), random(1, 30, seed=1).requires_grad_(True)
    function = LOSSES.build("kl", {}, temperature=4.0)
    (wanted,) = torch.autograd.grad(function(student, teacher, torch.tensor([-1])).sum(), student)
    many = compress(codec("sampled", 30, 32), teacher.repeat(20_000, 1))
    mean = function(student.expand(20_000, -1), many, torch.full((20_000,), -1)).mean()
    (found,) = torch.autograd.grad(mean, student)
    assert torch.allclose(found, wanted, atol=0.01 * float(wanted.abs().max()))


def test_what_cannot_be_is_refused() -> None:
    kept = compress(codec("sampled", 30), random(2, 30))
    with pytest.raises(UserError, match=r"drawn at temperature 4, the loss has 2"):
        LOSSES.build("kl", {}, temperature=2.0)(random(2, 30), kept, torch.full((2,), -1))
    with pytest.raises(UserError, match='loss "mse" needs logits'):
        LOSSES.build("mse", {})(random(2, 30), kept, torch.full((2,), -1))
    for name in NAMES:
        with pytest.raises(UserError, match="finite"):
            compress(codec(name, 2), torch.tensor([[0.0, math.nan]]))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("topk", {"k": 0}, "k = 0: takes a whole number of at least 1"),
        ("topk", {"k": True}, "k = True: takes a whole number"),
        ("topk", {"temperature": 0}, "temperature = 0: takes a number above 0"),
        ("sampled", {"draws": 256}, "draws = 256: takes a whole number from 1 to 255"),
        ("sampled", {"k": 3}, r"logit codec 'sampled' does not take 'k' \(takes draws, temperature, width\)"),
    ],
)
def test_wrong_options(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        CODECS.build(name, options, width=10, temperature=4.0)


def rows(name: str) -> dict[str, list[object]]:
    classes: list[object] = [[0, 1], [0, 9], [3, 3], [0, None], None, [2, 3]]
    fine = [1, 1] if name == "sampled" else [2.0, 1.0]
    return {"classes": classes, "counts" if name == "sampled" else "logits": [fine] * 6, "rest": [0.5] * 6}


@pytest.mark.parametrize("name", NAMES)
def test_which_stored_rows_are_valid(name: str) -> None:
    made = codec(name, 4, 2)
    type_ = made.column_type(4)

    def column(given: dict[str, list[object]]) -> pa.Array:
        names = [field.name for field in type_]
        listed = [dict(zip(names, row, strict=True)) for row in zip(*(given[name] for name in names), strict=True)]
        return pa.array([_halved(row) for row in listed], type_)

    assert made.valid(column(rows(name))).tolist() == [True, False, False, False, False, True]
    assert made.valid(column(rows(name)).slice(3)).tolist() == [False, False, True]
    wrong = rows(name)
    if name == "sampled":
        wrong["counts"] = [[2, 1], [1, 0], [0, 0], [1, 1], [1, 1], [2, 0]]
        assert made.valid(column(wrong)).tolist() == [False, False, False, False, False, True]
    else:
        wrong["rest"] = [math.nan, 0.5, 0.5, 0.5, 0.5, -math.inf]
        assert not made.valid(column(wrong)).any()


def _halved(row: dict[str, object]) -> dict[str, object]:
    values = row.get("logits")
    return {**row, "logits": [np.float16(value) for value in values]} if isinstance(values, list) else row


@pytest.mark.parametrize("name", NAMES)
def test_files_of_another_width_are_refused(name: str) -> None:
    mine, other = codec(name, 10, 4), codec(name, 10, 5)
    members = other.to_members(other.encode(compress(other, random(1, 10))))
    with pytest.raises(RowError, match=r"row 0: .* must be \w+ \(4,\)"):
        mine.from_members(members, 10)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_kept_deviates_no_more_than_it_may_and_other_outputs_do(name: str) -> None:
    made, logits = codec(name, 30, 200 if name == "sampled" else 8), random(20, 30)
    column = made.encode(compress(made, logits))
    difference, allowed = made.deviation(column, logits)
    assert difference.shape == allowed.shape == (20, 30)
    assert (difference <= allowed + 1e-4).all()
    difference, allowed = made.deviation(column, -4 * logits)
    assert (difference > allowed + 1e-4).any(1).float().mean() > 0.9
    difference, allowed = made.deviation(column[:1], torch.full((1, 30), math.nan))
    assert (difference > allowed).all()


@pytest.mark.parametrize("name", NAMES)
def test_windows_are_filled_and_batches_drawn(name: str) -> None:
    made = codec(name, 12)
    parts = [compress(made, random(count, 12, seed=count)) for count in (2, 3)]
    window = made.empty(5, 12, torch.device("cpu"))
    window[0:2], window[2:5] = parts  # type: ignore[index, assignment]
    assert isinstance(window, SparseLogits) and same(window, concatenated(parts))  # type: ignore[arg-type]
    chosen = torch.tensor([4, 0])
    assert torch.equal(window[chosen].classes, window.classes[chosen])
    assert len(window) == 5
