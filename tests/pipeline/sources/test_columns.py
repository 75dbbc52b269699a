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
        ("text", fields("text", numbers=("label", "idx")), {}, Roles(("text",), "label", None)),
        ("text", fields("title", "Text", "label"), {}, Roles(("Text",), "label", None)),
        ("text", fields("body_of_mail", numbers=("y", "id")), {}, Roles(("body_of_mail",), "y", "id")),
        ("text", fields("sentence2", "sentence1"), {}, Roles(("sentence1", "sentence2"), None, None)),
        ("text", fields("hypothesis", "Premise", "label"), {}, Roles(("Premise", "hypothesis"), "label", None)),
        ("text", fields("sentence", "question"), {}, Roles(("question", "sentence"), None, None)),
        ("text", fields("text", "sentence2"), {}, Roles(("text",), None, None)),
        ("text", fields("premise", numbers=("hypothesis",)), {}, Roles(("premise",), None, None)),
        ("text", fields("sentence1", "sentence2"), {"text": "sentence1"}, Roles(("sentence1",), None, None)),
        ("text", fields("a", "b", "text"), {"text": "b", "text_pair": "a"}, Roles(("b", "a"), None, None)),
    ],
)
def test_roles(content: str, there: list[Field], given: dict[str, Any], expected: Roles) -> None:
    assert find_roles(Columns(**given), content, there, "f") == expected


@pytest.mark.parametrize(
    ("content", "there", "given", "message"),
    [
        ("image", fields("a", "b"), {}, "f: several columns look like images: a, b; set data.columns.image to one of"),
        ("image", fields(numbers=("a", "b")), {}, "f: no column looks like images; found a, b; set data.columns.image"),
        ("text", fields(numbers=("a",)), {}, "f: no column looks like texts; found a; set data.columns.text to one of"),
        (
            "text",
            fields("a", "b", numbers=("c",)),
            {},
            "several columns look like texts: a, b; set data.columns.text to one of them, and .*_pair",
        ),
        ("text", fields("a", "b"), {"text_pair": "b"}, "text_pair = 'b' needs data.columns.text besides; name both"),
        ("text", fields("a"), {"text": "a", "text_pair": "x"}, "no column 'x' \\(data.columns.text_pair\\); found a"),
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
