"""What samples can be made of, and the names by which columns that hold it are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.errors import SampleError, UserError
from schemas.sections import Columns

Given = list[tuple[str, str]]
"""(column, its key in `[data.columns]`) of what the config names."""

_ANY = ("input", "inputs", "x", "data")


@dataclass(frozen=True, slots=True)
class Content:
    """One value of `Kind.column`.

    Attributes:
        what: the noun for messages.
        setting: the key in `[data.columns]` for its column.
        given: what the config names.
        known: names of columns, the most telling first.
        partners: name of a first text -> those of a second one, which make a pair with it.
        numbers: whether several columns of numbers can make one sample.
    """

    what: str
    setting: str
    given: Callable[[Columns], Given]
    known: tuple[str, ...]
    partners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: bool = False

    @property
    def remedy(self) -> str:
        """What to set where the column cannot be found."""
        pair = ", and data.columns.text_pair to another where samples are pairs" if self.partners else ""
        return f"set data.columns.{self.setting} to one of them{pair}"


def _image(columns: Columns) -> Given:
    return [] if columns.image is None else [(columns.image, "image")]


def _features(columns: Columns) -> Given:
    names = [columns.features] if isinstance(columns.features, str) else columns.features or []
    return [(name, "features") for name in names]


def _texts(columns: Columns) -> Given:
    if columns.text is None and columns.text_pair is not None:
        raise UserError(f"data.columns.text_pair = {columns.text_pair!r} needs data.columns.text besides; name both")
    both = ((columns.text, "text"), (columns.text_pair, "text_pair"))
    return [(name, setting) for name, setting in both if name is not None]


CONTENTS: Mapping[str, Content] = {
    "image": Content(
        "images",
        "image",
        _image,
        (
            *("image", "img", "images", "imgs", "picture", "photo", "pixels"),
            *("image_path", "path", "file_name", "filename", "file", "filepath"),
            *_ANY,
        ),
    ),
    "tensor": Content(
        "vectors or numbers",
        "features",
        _features,
        ("tensor", "features", "feature", "vector", "embedding", "x", "input", "inputs", "array", "data"),
        numbers=True,
    ),
    "text": Content(
        "texts",
        "text",
        _texts,
        (
            *("text", "texts", "text_a", "text1", "premise", "sentence1", "sentence_a", "question1"),
            # A question comes before the sentence that it is about.
            *("question", "query", "sentence", "sentences"),
            *("review", "content", "document", "passage", "comment", "message", "tweet", "body"),
            *("title", "headline", "description", *_ANY),
        ),
        {
            "text": ("text_pair", "text2", "text_b"),
            "text_a": ("text_b",),
            "text1": ("text2",),
            "premise": ("hypothesis",),
            "sentence1": ("sentence2",),
            "sentence_a": ("sentence_b",),
            "question1": ("question2",),
            "question": ("sentence", "passage"),
            "query": ("passage", "document"),
        },
    ),
}
"""By `Kind.column`."""


def decoded(values: Sequence[bytes | None]) -> tuple[str | None, ...] | SampleError:
    """The texts of one sample from their bytes; None stays None, which the kind reports."""
    try:
        return tuple(None if value is None else value.decode("utf-8") for value in values)
    except UnicodeDecodeError as error:
        return SampleError(f"not UTF-8: byte {error.start} is {error.object[error.start]:#04x}")
