from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from pipeline.models.weights import count_parameters, fit_weights, read_weights, weights_bytes, weights_sha256
from pipeline.models.wrapper import Wrapped
from schemas.errors import UserError


class Tied(nn.Module):
    """Two layers that share their weight, and a scalar buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("count", torch.tensor(7))


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return exec, ("raise SystemExit('code ran')",)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth", "w.bin", "W.SAFETENSORS"])
@pytest.mark.parametrize("root", ["", "memory://weights/"])
def test_reads_what_was_saved(tmp_path: Path, root: str, name: str) -> None:
    state = net().state_dict()
    url = (root or f"{tmp_path}/") + name
    with fsspec.open(url, "wb") as file:
        if name.lower().endswith("safetensors"):
            file.write(safetensors.torch.save(state))
        else:
            torch.save(state, file)
    found = read_weights(url)
    assert same({key: found[key] for key in state}, dict(state))


@pytest.mark.parametrize(
    "pack",
    [
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s},
        lambda s: {"model_state_dict": s, "optimizer": {"lr": 0.1}},
        lambda s: {key: nn.Parameter(value) for key, value in s.items()},
    ],
)
def test_unwraps_checkpoints(tmp_path: Path, pack: Callable[[Any], Any]) -> None:
    state = nn.Linear(2, 3).state_dict()
    torch.save(pack(state), tmp_path / "w.pt")
    found = read_weights(str(tmp_path / "w.pt"))
    assert same(found, dict(state))
    assert not any(tensor.requires_grad for tensor in found.values())


def test_a_layer_called_model_is_not_a_container(tmp_path: Path) -> None:
    torch.save({"model": torch.zeros(2), "bias": torch.ones(1)}, tmp_path / "w.pt")
    assert sorted(read_weights(str(tmp_path / "w.pt"))) == ["bias", "model"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.safetensors", b"nonsense", "not a whole safetensors file"),
        ("w.safetensors", safetensors.torch.save({"a": torch.zeros(9)})[:-4], "not a whole safetensors file"),
        ("w.pt", b"nonsense", "w.pt: "),
        ("w.pt", b"", "w.pt: not a checkpoint"),
        ("w.pt", b"PK\x03\x04 cut off", "w.pt: not a checkpoint"),
        ("w.pt", pickle.dumps(Evil(), protocol=2), "not run; convert it to safetensors"),
        ("w.h5", b"", "weights are read from .safetensors, .pt, .pth, .bin, not '.h5'"),
        ("w", b"", "not ''"),
    ],
    ids=["garbage", "cut off", "garbage pt", "empty pt", "cut off pt", "code", "other format", "no suffix"],
)
def test_refuses_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_weights(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: nn.Linear(1, 1), "pickle that needs code"),
        (lambda: {"state_dict": Evil()}, "pickle that needs code"),
        (lambda: [torch.zeros(1)], "holds list; must hold a state dict"),
        (lambda: {"weight": torch.zeros(1), "epoch": 3}, "'epoch' is int; a state dict holds tensors only"),
    ],
)
def test_refuses_checkpoints_with_more_than_tensors(tmp_path: Path, content: Callable[[], Any], message: str) -> None:
    torch.save(content(), tmp_path / "w.pt")
    with pytest.raises(UserError, match=message):
        read_weights(str(tmp_path / "w.pt"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/nowhere/w.safetensors", "/nowhere/w.safetensors: no such weights file"),
        ("memory://nowhere/w.pt", "no such weights file"),
        ("nothing://a/w.pt", "unknown kind of URL 'nothing://'"),
    ],
)
def test_names_a_file_that_is_not_there(url: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_weights(url)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: Wrapped(m, [0.5], [0.5])], ids=["plain", "wrapped"])
def test_fits_weights_whatever_the_uniform_prefix(prefix: str, wrap: Callable[[nn.Module], nn.Module]) -> None:
    saved, model = net(1), net(2)
    fit_weights(wrap(model), {prefix + key: value for key, value in saved.state_dict().items()}, "here")
    assert same(dict(model.state_dict()), dict(saved.state_dict()))


def test_keeps_a_prefix_that_the_model_has_too() -> None:
    def build() -> nn.Module:
        return nn.ModuleDict({"module": nn.Linear(2, 2)})

    saved, model = build(), build()
    fit_weights(model, saved.state_dict(), "here")
    assert same(dict(model.state_dict()), dict(saved.state_dict()))


def test_takes_a_tied_weight_under_one_name() -> None:
    saved, model = Tied(), Tied()
    fit_weights(model, {key: value for key, value in saved.state_dict().items() if key != "first.weight"}, "here")
    assert torch.equal(model.first.weight, saved.first.weight)
    assert model.second.weight is model.first.weight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("3.bias"), r"1 missing \(first '3.bias'\)"),
        (lambda s: s.clear(), r"9 missing \(first '0.weight'\)"),
        (lambda s: s.update({"4.bias": torch.zeros(1)}), r"1 unexpected \(first '4.bias'\)"),
        (
            lambda s: s.update({"3.weight": torch.zeros(10, 2)}),
            r"1 of another shape \(first '3.weight': \(10, 2\), the model has \(3, 2\)\)",
        ),
        (lambda s: s.update({"a": s.pop("3.bias")}), "1 missing .* 1 unexpected"),
    ],
)
def test_refuses_weights_that_do_not_fit_and_loads_none(change: Callable[[Any], Any], message: str) -> None:
    model, state = net(1), dict(net(2).state_dict())
    before = weights_sha256(model)
    change(state)
    with pytest.raises(UserError, match=message) as caught:
        fit_weights(model, state, "teacher.weights = w.pt")
    assert str(caught.value).startswith("teacher.weights = w.pt: does not fit the model: ")
    assert weights_sha256(model) == before


@pytest.mark.parametrize("build", [net, Tied, nn.Identity, lambda: net().bfloat16()])
def test_saved_bytes_load_into_the_plain_model(build: Callable[[], nn.Module]) -> None:
    model, plain = build(), build()
    data = weights_bytes(Wrapped(model, [0.5], [0.5]))
    assert data == weights_bytes(model)
    plain.load_state_dict(safetensors.torch.load(data), strict=True)
    assert weights_sha256(plain) == weights_sha256(model)
    assert weights_bytes(plain) == data


def test_saves_weights_that_are_not_contiguous() -> None:
    model = nn.Conv2d(3, 4, 3)
    plain = weights_bytes(model), weights_sha256(model)
    model.to(memory_format=torch.channels_last)
    assert not model.weight.is_contiguous()
    assert (weights_bytes(model), weights_sha256(model)) == plain


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m[0].weight.data.view(-1)[0].add_(1e-3),
        lambda m: m[1].running_mean.add_(1),
        lambda m: m[1].num_batches_tracked.add_(1),
        lambda m: m.double(),
        lambda m: m.add_module("4", nn.Linear(1, 1)),
    ],
    ids=["a weight", "a buffer", "a scalar", "the dtype", "a layer"],
)
def test_hash_depends_on_every_value(change: Callable[[Any], Any]) -> None:
    model = net()
    before = weights_sha256(model)
    assert before == weights_sha256(Wrapped(net(), [0.5], [0.5]))
    change(model)
    assert weights_sha256(model) != before


def test_hash_tells_shapes_apart() -> None:
    one, other = nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False)
    other.weight.data = one.weight.data.reshape(2, 3).clone()
    assert weights_sha256(one) != weights_sha256(other)


def test_counts_tied_weights_once_and_no_buffers() -> None:
    assert count_parameters(Wrapped(Tied(), [0.5], [0.5])) == 9
