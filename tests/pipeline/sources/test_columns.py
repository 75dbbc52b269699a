"""Columns are found by name, then by type; what the config says comes first."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.sources.columns import Field, Roles, find_roles
from schemas.errors import UserError
from schemas.sections import Columns


def fields(*payloads: str, numbers: tuple[str, ...] = (), other: tuple[str, ...] = ()) -> list[Field]:
    return [
        *(Field(name, payload=True) for name in payloads),
        *(Field(name, payload=False, number=True) for name in numbers),
        *(Field(name, payload=False) for name in other),
    ]


@pytest.mark.parametrize(
    ("content", "there", "given", "expected"),
    [
        ("image", fields("image", numbers=("label",)), {}, Roles(("image",), "label", None)),
        ("image", fields("text", "img", numbers=("y", "id")), {}, Roles(("img",), "y", "id")),
        ("image", fields("Image", numbers=("Label",)), {}, Roles(("Image",), "Label", None)),
        ("image", fields("scan"), {}, Roles(("scan",), None, None)),
        ("image", fields("a", "b"), {"image": "b"}, Roles(("b",), None, None)),
        ("image", fields("image", numbers=("label", "fine")), {"label": "fine"}, Roles(("image",), "fine", None)),
        ("tensor", fields("other", "tensor", numbers=("label",)), {}, Roles(("tensor",), "label", None)),
        ("tensor", fields("anything"), {}, Roles(("anything",), None, None)),
        ("tensor", fields(numbers=("a", "b", "y", "id"), other=("t",)), {}, Roles(("a", "b"), "y", "id")),
        ("tensor", fields(numbers=("a", "b", "c")), {"features": ["c", "a"]}, Roles(("c", "a"), None, None)),
        ("tensor", fields(numbers=("x", "y")), {"features": ["x", "y"]}, Roles(("x", "y"), None, None)),
    ],
)
def test_roles(content: str, there: list[Field], given: dict[str, Any], expected: Roles) -> None:
    assert find_roles(Columns(**given), content, there, "f") == expected


@pytest.mark.parametrize(
    ("content", "there", "given", "message"),
    [
        ("image", fields("a", "b"), {}, "f: no column looks like images; found a, b; set data.columns.image"),
        ("image", [], {}, "found none"),
        ("tensor", fields("a", "b"), {}, "set data.columns.features"),
        ("image", fields("a"), {"image": "x"}, "f: no column 'x' \\(data.columns.image\\); found a"),
        ("image", fields("a"), {"label": "x"}, "data.columns.label"),
        ("image", fields("a"), {"key": "x"}, "data.columns.key"),
        ("tensor", fields(numbers=("a",)), {"features": ["a", "x"]}, "no column 'x' \\(data.columns.features\\)"),
    ],
)
def test_messages(content: str, there: list[Field], given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_roles(Columns(**given), content, there, "f")
