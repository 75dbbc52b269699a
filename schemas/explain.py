"""What pydantic found wrong in a config, in one line that a user can act on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

_MESSAGES = {
    "missing": "too few values",
    "dict_type": "should be a table",
    "tuple_type": "should be a list",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "int_type": "should be a whole number",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
}
"""Where pydantic's own words would not help; a key that is missing has a message of its own."""


def explain(error: ValidationError, root: type[BaseModel]) -> str:
    """One line on one mistake: the key path, what it got and what it takes.

    An unknown key comes first, as a misspelt key may be why another one is missing.

    Args:
        error: what pydantic raised.
        root: the model that it validated, whose fields may be sections.
    """
    problems = error.errors()
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    # A value that fits no branch of a union is one mistake, though pydantic reports every branch.
    others = len({_resolve(root, p["loc"])[0] for p in problems} - {_resolve(root, problem["loc"])[0]})
    more = f" (and {others} more problem{'s' if others > 1 else ''})" if others else ""
    return " ".join(f"{_complaint(problem, root)}{more}".split())


def _complaint(problem: ErrorDetails, root: type[BaseModel]) -> str:
    kind, value, (keys, field) = problem["type"], problem["input"], _resolve(root, problem["loc"])
    path, description = ".".join(keys), field.description if field else None
    if kind == "extra_forbidden":
        return _unknown_key(keys, root)
    if kind == "missing" and len(keys) == len(problem["loc"]):
        return f"{path} is missing ({description})" if description else f"section [{path}] is missing"
    if kind in {"model_type", "model_attributes_type"}:
        return f"{path} = {_short(value)}: should be a section [{path}]"
    message = _MESSAGES.get(kind, re.sub("^(Value error, |Input |String )", "", problem["msg"]))
    if kind == "value_error":
        place = path if isinstance(value, Mapping) else f"{path} = {_short(value)}"
        return f"{place}: {message}" if path else message
    takes = f" ({description})" if description and kind != "literal_error" else ""
    return f"{path} = {_short(value)}: {message}{takes}"


def _unknown_key(location: Sequence[str], root: type[BaseModel]) -> str:
    *parents, key = location
    _, section = _resolve(root, parents)
    fields = list((_model(section) if parents else root).model_fields)
    elsewhere = [f"{name}.{key}" for name, field in root.model_fields.items() if key in _model(field).model_fields]
    close = elsewhere or get_close_matches(key, fields, n=1)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    place = f"[{'.'.join(parents)}]" if parents else "the top level"
    return f"unknown key {'.'.join(location)!r}; {hint}{place} takes {', '.join(fields)}"


def _resolve(root: type[BaseModel], location: Sequence[str | int]) -> tuple[tuple[str, ...], FieldInfo | None]:
    """The keys of a location, and the field there.

    What follows a key that holds neither a section nor a table is left out: branches of unions, positions in lists.
    """
    field: FieldInfo | None = None
    model = root
    for depth, key in enumerate(map(str, location), 1):
        field = model.model_fields.get(key)
        model = _model(field)
        if model is BaseModel:
            table = field is not None and get_origin(field.annotation) is dict
            return tuple(map(str, location[: depth + table])), field
    return tuple(map(str, location)), field


def _model(field: FieldInfo | None) -> type[BaseModel]:
    """The section that a field holds; a model without fields when it is no section."""
    annotation = field.annotation if field else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else BaseModel


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
