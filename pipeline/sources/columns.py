"""Which column holds what: as the config says, or found by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.sources.contents import CONTENTS, Content
from schemas.errors import UserError
from schemas.sections import Columns

LABELS = ("label", "labels", "cls", "class", "target", "targets", "y")
KEYS = ("key", "__key__", "id")  # not `idx`, as in GLUE: it counts the rows of one split, and splits can be joined


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a source.

    Attributes:
        name: of the column.
        payload: whether one value could be a whole sample: an image or its path, a vector, or a text.
        number: whether its values are single numbers, so that several columns could make a vector.
    """

    name: str
    payload: bool
    number: bool = False


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns that a source reads. `payload` has several names where columns of numbers make a vector, or two texts
    a pair."""

    payload: tuple[str, ...]
    label: str | None
    key: str | None

    @property
    def used(self) -> list[str]:
        return [*self.payload, *(name for name in (self.label, self.key) if name is not None)]


def find_roles(columns: Columns, content: str, fields: Sequence[Field], origin: str) -> Roles:
    """Decide which column holds what.

    Args:
        columns: what the config says; what it leaves out is found by name, then by type.
        content: image, tensor or text, see `Kind.column`.
        fields: the columns there are.
        origin: the file, for messages.

    Raises:
        UserError: a named column is missing, none looks like samples, or several do. No label and no key column is no
            error.
    """
    names = [field.name for field in fields]
    kind = CONTENTS[content]
    given = kind.given(columns)
    for column, of in ((columns.label, "label"), (columns.key, "key"), *given):
        if column is not None and column not in names:
            raise UserError(f"{origin}: no column {column!r} (data.columns.{of}); found {_listed(names)}")
    wanted = tuple(name for name, _ in given)
    free = [field for field in fields if field.name not in (columns.label, columns.key, *wanted)]
    label = columns.label or _by_name(LABELS, free)
    key = columns.key or _by_name(KEYS, free)
    rest = [field for field in free if field.name not in (label, key)]
    payload = wanted or _payload(kind, rest)
    if not payload:
        raise UserError(f"{origin}: {_why(kind, rest, names)}; {kind.remedy}")
    return Roles(payload, label, key)


def _payload(kind: Content, fields: Sequence[Field]) -> tuple[str, ...]:
    candidates = [field for field in fields if field.payload]
    name = _by_name(kind.known, candidates)
    if name is None and len(candidates) == 1:
        name = candidates[0].name
    if name is not None:
        partner = _by_name(kind.partners.get(name.lower(), ()), candidates)
        return (name,) if partner is None else (name, partner)
    return tuple(field.name for field in fields if field.number) if kind.numbers and not candidates else ()


def _why(kind: Content, fields: Sequence[Field], names: Sequence[str]) -> str:
    """Why no column was taken."""
    candidates = [field.name for field in fields if field.payload]
    if candidates:
        return f"several columns look like {kind.what}: {_listed(candidates)}"
    return f"no column looks like {kind.what}; found {_listed(names)}"


def _by_name(known: Sequence[str], fields: Sequence[Field]) -> str | None:
    spelled = {field.name.lower(): field.name for field in reversed(fields)}
    return next((spelled[name] for name in known if name in spelled), None)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "none"
