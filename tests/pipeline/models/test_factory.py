from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from pipeline.models.factory import build_model
from schemas.errors import UserError

CODE = """
from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from neighbour import WIDTH

constant = 3
instance = nn.Linear(1, 1)


@dataclass
class Settings:
    width: int = WIDTH


class Net(nn.Module):
    def __init__(self, classes, width=4):
        super().__init__()
        self.fc = nn.Linear(width, classes)


def net(classes, width=Settings().width, *, channels=1):
    return nn.Linear(width * channels, classes)


def broken(classes):
    raise RuntimeError("no such\\nlayer")


def number():
    return 3


def anything(*inputs, **kwargs):
    return nn.Linear(len(inputs) + 1, len(kwargs) + 1)
"""


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., nn.Module]]:
    (tmp_path / "nets.py").write_text(CODE)
    (tmp_path / "neighbour.py").write_text("WIDTH = 6\n")
    (tmp_path / "syntax.py").write_text("def net(:\n")
    (tmp_path / "needs.py").write_text("import not_installed_anywhere\n")

    def build(factory: str, defaults: dict[str, Any] | None = None, **kwargs: Any) -> nn.Module:
        return build_model(factory, kwargs, defaults or {}, lambda path: str(tmp_path / path), role="teacher")

    yield build
    sys.modules.pop("neighbour", None)


@pytest.mark.parametrize(
    ("factory", "kwargs", "shape"),
    [
        ("zoo:mlp", {"inputs": 5, "classes": 2, "hidden": []}, (2, 5)),
        ("torch.nn:Linear", {"in_features": 3, "out_features": 2}, (2, 3)),
        ("nets.py:net", {"classes": 2}, (2, 6)),
        ("nets.py:net", {"classes": 2, "width": 5}, (2, 5)),
        ("nets.py:Net", {"classes": 2}, (2, 4)),
    ],
)
def test_builds(build: Callable[..., nn.Module], factory: str, kwargs: dict[str, Any], shape: tuple[int, int]) -> None:
    weights = [p for p in build(factory, **kwargs).parameters() if p.ndim == 2]
    assert weights[0].shape == shape


@pytest.mark.parametrize(
    ("factory", "kwargs", "shape"),
    [
        ("zoo:mlp", {"hidden": []}, (7, 12)),
        ("zoo:mlp", {"hidden": [], "classes": 2}, (2, 12)),
        ("nets.py:net", {}, (7, 6)),
        ("nets.py:anything", {}, (1, 1)),
    ],
    ids=["all", "config wins", "required ones only", "none by *args"],
)
def test_fills_in_what_the_data_knows(
    build: Callable[..., nn.Module], factory: str, kwargs: dict[str, Any], shape: tuple[int, int]
) -> None:
    model = build(factory, {"inputs": 12, "classes": 7, "channels": 3}, **kwargs)
    assert next(model.parameters()).shape == shape


def test_fills_in_the_channels_of_a_zoo_net(build: Callable[..., nn.Module]) -> None:
    model = build("zoo:cnn", {"inputs": 12, "classes": 7, "channels": 3}, width=4)
    assert next(model.parameters()).shape[:2] == (4, 3)


@pytest.mark.parametrize(
    ("factory", "kwargs", "message"),
    [
        ("cnn", {}, r"takes zoo:NAME \(mlp, cnn, resnet\), package.module:callable or path/to/file.py:callable"),
        (":net", {}, "takes zoo:NAME"),
        ("nets.py:", {}, "takes zoo:NAME"),
        ("zoo:cn", {}, "unknown zoo model 'cn'; did you mean 'cnn'"),
        ("zoo:resnet", {"classes": 2, "depth": 18}, "depth = 18; takes 6n \\+ 2.*teacher.kwargs"),
        ("zoo:cnn", {"classes": 2, "widht": 3}, "'widht'; it takes classes, channels, width, depth, norm"),
        ("zoo:cnn", {}, "missing a required argument: 'classes'"),
        (
            "zoo:mlp",
            {"inputs": 2, "classes": 2, "hidden": 3},
            "called with inputs, classes, hidden it raised TypeError",
        ),
        ("not_installed_anywhere:net", {}, "No module named 'not_installed_anywhere'; install it"),
        ("torch.nn:Lineal", {}, "torch.nn has no 'Lineal'"),
        ("nets.py:nett", {}, "nets.py has no 'nett'; it has Settings, Net, net, broken"),
        ("absent.py:net", {}, "no such file .*absent.py"),
        ("syntax.py:net", {}, "does not import: SyntaxError"),
        ("needs.py:net", {}, "does not import: ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("nets.py:constant", {}, "is of type int; must be a class or function"),
        ("nets.py:instance", {}, "is of type Linear; must be a class or function"),
        ("nets.py:number", {}, "returns int; must return a torch.nn.Module"),
        ("nets.py:broken", {"classes": 2}, "called with classes it raised RuntimeError: no such$"),
    ],
)
def test_refuses_in_one_line(
    build: Callable[..., nn.Module], factory: str, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build(factory, **kwargs)
    assert str(caught.value).startswith(f"teacher.factory = {factory!r}: ")
    assert "\n" not in str(caught.value)


def test_leaves_the_search_path_as_it_was(build: Callable[..., nn.Module]) -> None:
    before = list(sys.path)
    build("nets.py:net", classes=2)
    with pytest.raises(UserError):
        build("needs.py:net")
    assert sys.path == before
