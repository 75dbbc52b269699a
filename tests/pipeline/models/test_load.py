from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from pipeline.models.load import check_outputs, compatible, freeze, load_model, pick_device
from pipeline.models.weights import weights_bytes, weights_sha256
from pipeline.models.wrapper import Wrapped
from schemas.errors import UserError
from schemas.sections import ModelConfig

Role = Literal["teacher", "student"]
ROLES: tuple[Role, ...] = ("teacher", "student")


def load(
    factory: str = "zoo:cnn",
    kwargs: dict[str, Any] | None = None,
    *,
    shape: tuple[int, ...] = (3, 8, 8),
    classes: int | None = 5,
    seed: int = 0,
    role: Role = "student",
    root: Path = Path("/"),
    **config: Any,
) -> Wrapped:
    return load_model(
        ModelConfig(factory=factory, kwargs=kwargs or {}, **config),
        lambda path: str(root / path),
        role=role,
        shape=shape,
        classes=classes,
        seed=seed,
        device="cpu",
    )


@pytest.mark.parametrize(
    ("factory", "kwargs", "shape"),
    [
        ("zoo:cnn", {"width": 4}, (3, 8, 8)),
        ("zoo:resnet", {"width": 4, "depth": 8}, (1, 8, 8)),
        ("zoo:mlp", {}, (2, 3, 4)),
        ("zoo:mlp", {}, (11,)),
    ],
)
def test_zoo_models_fit_the_data_by_themselves(factory: str, kwargs: dict[str, Any], shape: tuple[int, ...]) -> None:
    model = load(factory, kwargs, shape=shape)
    assert check_outputs(model, torch.rand(2, *shape), "student", 5) == 5


def test_initial_weights_depend_on_seed_and_role_only() -> None:
    hashes = {(seed, role): weights_sha256(load(seed=seed, role=role)) for seed in (0, 1) for role in ROLES}
    assert len(set(hashes.values())) == 4
    torch.rand(3)
    assert weights_sha256(load(seed=1, role="teacher")) == hashes[1, "teacher"]


def test_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    load()
    assert torch.equal(torch.get_rng_state(), before)


def test_loads_weights_and_normalises(tmp_path: Path) -> None:
    saved = load(seed=1)
    (tmp_path / "w.safetensors").write_bytes(weights_bytes(saved))
    model = load(seed=2, root=tmp_path, weights="w.safetensors", mean=[0.5], std=[0.25]).eval()
    assert weights_sha256(model) == weights_sha256(saved)
    inputs = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(model(inputs), saved.eval()((inputs - 0.5) / 0.25))


def test_names_weights_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights_bytes(load(classes=7)))
    with pytest.raises(UserError, match=r"^student.weights = .*w.safetensors: does not fit .* 2 of another shape"):
        load(root=tmp_path, weights="w.safetensors")


def test_refuses_lazy_layers() -> None:
    with pytest.raises(UserError, match=r"^student.factory = 'torch.nn:LazyLinear': 'weight' is of a lazy layer"):
        load("torch.nn:LazyLinear", {"out_features": 5})


class Forward(nn.Module):
    """Counts batches in training, as batch norm does, and computes its output by a given function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.norm = nn.BatchNorm1d(3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(self.norm(inputs))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: x @ torch.rand(4, 2),
            r"^teacher: its forward pass on inputs of shape \(2, 3\) raised RuntimeError: ",
        ),
        (lambda x: x[:, :, None], r"^teacher: returns shape \(2, 3, 1\)"),
        (lambda x: x[:, :2], r"^teacher: has 2 outputs but the data has 3 classes; change teacher.kwargs"),
    ],
)
def test_check_names_role_and_reason(function: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check_outputs(Wrapped(Forward(function)), torch.rand(2, 3), "teacher", 3)
    assert "\n" not in str(caught.value)


def test_check_names_a_mean_that_does_not_fit() -> None:
    with pytest.raises(UserError, match=r"^teacher: mean has 2 values but inputs have 3 features"):
        check_outputs(Wrapped(Forward(lambda x: x), [0.1, 0.2], [1.0, 1.0]), torch.rand(2, 3), "teacher", None)


def test_check_only_looks_at_the_model() -> None:
    model = Wrapped(Forward(lambda x: x)).train()
    before = weights_sha256(model)
    assert check_outputs(model, torch.rand(2, 3), "student", None) == 3
    assert weights_sha256(model) == before
    assert all(module.training for module in model.modules())


def test_check_restores_a_part_that_was_in_eval_mode() -> None:
    inner = Forward(lambda x: x)
    model = Wrapped(inner).train()
    inner.norm.eval()
    check_outputs(model, torch.rand(2, 3), "student", None)
    assert model.training
    assert not inner.norm.training


def test_frozen_models_take_no_gradient() -> None:
    model = load()
    assert freeze(model) is model
    assert not any(module.training for module in model.modules())
    inputs = torch.rand(2, 3, 8, 8, requires_grad=True)
    model(inputs).sum().backward()
    assert inputs.grad is not None
    assert all(parameter.grad is None for parameter in model.parameters())


def test_pairs_of_other_widths_are_refused() -> None:
    compatible(10, 10)
    with pytest.raises(UserError, match=r"teacher has 10 outputs and the student 100; set student.kwargs"):
        compatible(10, 100)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(0, False, "cpu"), (0, True, "mps"), (2, False, "cuda"), (2, True, "cuda")]
)
def test_auto_takes_the_best_device(monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool, expected: str) -> None:
    _pretend(monkeypatch, cuda, mps)
    assert pick_device("auto").type == expected


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:1", "mps"])
def test_takes_a_device_that_is_there(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    _pretend(monkeypatch, cuda=2, mps=True)
    assert pick_device(name) == torch.device(name)


@pytest.mark.parametrize(("name", "cuda"), [("cuda", 0), ("cuda:2", 2), ("mps", 0)])
def test_refuses_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, name: str, cuda: int) -> None:
    _pretend(monkeypatch, cuda, mps=False)
    with pytest.raises(UserError, match=f'^run.device = "{name}": torch sees {cuda} '):
        pick_device(name)


def _pretend(monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
