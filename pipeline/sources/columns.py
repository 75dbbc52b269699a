"""Which column holds what: as the config says, or found by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import UserError
from schemas.sections import Columns

IMAGES = (
    *("image", "img", "images", "imgs", "picture", "photo", "pixels"),
    *("image_path", "path", "file_name", "filename", "file", "filepath"),
    *("input", "inputs", "x", "data"),
)
VECTORS = ("tensor", "features", "feature", "vector", "embedding", "x", "input", "inputs", "array", "data")
LABELS = ("label", "labels", "cls", "class", "target", "targets", "y")
KEYS = ("key", "__key__", "id")


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a source.

    Attributes:
        name: of the column.
        payload: whether one value could be a whole sample: an image or its path, or a vector.
        number: whether its values are single numbers, so that several columns could make a vector.
    """

    name: str
    payload: bool
    number: bool = False


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns that a source reads. `payload` has several names where columns of numbers make a vector."""

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
        content: image or tensor, see `Kind.column`.
        fields: the columns there are.
        origin: the file, for messages.

    Raises:
        UserError: a named column is missing, or none looks like samples. No label and no key column is no error.
    """
    names = [field.name for field in fields]
    setting = "image" if content == "image" else "features"
    given = columns.image if content == "image" else columns.features
    wanted = [given] if isinstance(given, str) else given or []
    for column, of in ((columns.label, "label"), (columns.key, "key"), *((name, setting) for name in wanted)):
        if column is not None and column not in names:
            raise UserError(f"{origin}: no column {column!r} (data.columns.{of}); found {_listed(names)}")
    free = [field for field in fields if field.name not in (columns.label, columns.key, *wanted)]
    label = columns.label or _by_name(LABELS, free)
    key = columns.key or _by_name(KEYS, free)
    payload = tuple(wanted) or _payload(content, [field for field in free if field.name not in (label, key)])
    if not payload:
        what = "images" if content == "image" else "vectors or numbers"
        raise UserError(
            f"{origin}: no column looks like {what}; found {_listed(names)}; set data.columns.{setting} to one of them"
        )
    return Roles(payload, label, key)


def _payload(content: str, fields: Sequence[Field]) -> tuple[str, ...]:
    candidates = [field for field in fields if field.payload]
    name = _by_name(IMAGES if content == "image" else VECTORS, candidates)
    if name is not None:
        return (name,)
    if len(candidates) == 1:
        return (candidates[0].name,)
    if content == "image" or candidates:
        return ()
    return tuple(field.name for field in fields if field.number)


def _by_name(known: Sequence[str], fields: Sequence[Field]) -> str | None:
    spelled = {field.name.lower(): field.name for field in reversed(fields)}
    return next((spelled[name] for name in known if name in spelled), None)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "none"
