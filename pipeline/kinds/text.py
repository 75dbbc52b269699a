"""Text: a sentence or a pair of them, or the end of a climb from one in embedding space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.kinds.base import Arrays, Members, Stored, tried
from pipeline.kinds.deltas import DeltaCodec
from pipeline.kinds.perturbed import PerturbedColumns
from pipeline.lazy import torch
from pipeline.text.sentences import Sentence, Sentences
from schemas.errors import RowError, SampleError

TEXT_BYTES = 2**15
"""Of one text in UTF-8, at most; no model that bpkd is for reads further."""

_COLUMNS = ("text", "text_pair")
_FILES = ("txt", "pair.txt")


class TextKind:
    """Texts of at most 32 KiB; stored as objects (N,) of `Sentence`.

    The shape of a sample is (P,) with P = 1 text or 2, or (P, L, D) where samples may be perturbed: at most L tokens,
    embeddings of D values. A perturbed sample has empty texts, and its tokens and shifts in columns of their own,
    which are null for plain text.

    Args:
        delta: how shifts are stored; None for plain text only.
    """

    column = "text"
    features: Mapping[str, dict[str, Any]] = {}
    dtype: np.dtype[Any] = np.dtype(object)
    natural_bounds: tuple[float, float] | None = None

    def __init__(self, delta: DeltaCodec | None = None) -> None:
        self._perturbed = None if delta is None else PerturbedColumns(delta)
        self.mined: Sequence[str] = () if self._perturbed is None else self._perturbed.names

    def decode(self, payload: Any) -> Sentence:
        """One text, or a tuple of one or two.

        Raises:
            SampleError: empty, not text, not valid Unicode, or too long.
        """
        if isinstance(payload, SampleError):
            raise payload
        texts = payload if isinstance(payload, tuple) else (payload,)
        for number, text in enumerate(texts):
            problem = _problem(text)
            if problem is not None:
                which = f", the {('first', 'second')[number]} of the pair" if len(texts) == 2 else ""
                raise SampleError(problem + which)
        return Sentence(texts)

    def decode_all(self, payloads: Sequence[Any], shape: tuple[int, ...]) -> Iterator[Sentence | SampleError]:
        return (tried(self.decode, payload) for payload in payloads)

    def shape_of(self, sample: Sentence) -> tuple[int, ...]:
        return (len(sample.texts),)

    def stack(self, samples: Sequence[Sentence]) -> Stored:
        stored = np.empty(len(samples), object)
        stored[:] = samples
        return stored

    def to_inputs(self, stored: Stored | torch.Tensor) -> Sentences:
        assert isinstance(stored, np.ndarray)
        return Sentences(stored)

    def lengths(self, stored: Stored) -> npt.NDArray[np.int64]:
        return np.array([sentence.length for sentence in stored], np.int64)

    def observe(self, stored: Stored) -> dict[str, list[float]]:
        return {}

    def blank(self, shape: tuple[int, ...]) -> Stored:
        return self.stack([Sentence(("a",) * shape[0])])

    def arrow_types(self, shape: tuple[int, ...]) -> dict[str, pa.DataType]:
        types = {name: pa.string() for name in _COLUMNS[: shape[0]]}
        return types if self._perturbed is None else types | self._perturbed.arrow_types(shape[-1])

    def to_columns(self, keys: Sequence[str], stored: Stored, shape: tuple[int, ...]) -> Arrays:
        columns = {
            name: pa.array([sentence.texts[number] for sentence in stored], pa.string())
            for number, name in enumerate(_COLUMNS[: shape[0]])
        }
        return columns if self._perturbed is None else columns | self._perturbed.to_columns(stored, shape[-1])

    def from_columns(self, batch: pa.RecordBatch, shape: tuple[int, ...]) -> Stored:
        for row, what in self.problems(batch, shape):
            raise RowError(row, what)
        texts = zip(*(batch[name].to_pylist() for name in _COLUMNS[: shape[0]]), strict=True)
        if self._perturbed is None:
            return self.stack([Sentence(text) for text in texts])
        perturbed = self._perturbed.from_columns(batch)
        return self.stack([Sentence(text, change) for text, change in zip(texts, perturbed, strict=True)])

    def problems(self, batch: pa.RecordBatch, shape: tuple[int, ...]) -> Iterator[tuple[int, str]]:
        plain = np.True_ if self._perturbed is None else self._perturbed.plain(batch)
        for name in _COLUMNS[: shape[0]]:
            if name != self.column:
                for row in np.flatnonzero(batch[name].is_null()).tolist():
                    yield row, f"has no {name}"
            size = pc.binary_length(batch[name]).fill_null(1).to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(size > TEXT_BYTES).tolist():
                yield row, f"{size[row]:,} bytes of {name}, the limit is {TEXT_BYTES:,}"
            for row in np.flatnonzero((size == 0) & plain).tolist():
                yield row, f"its {name} is empty"
            known = batch[name].is_valid().to_numpy(zero_copy_only=False)
            for row in np.flatnonzero((size > 0) & ~plain & known).tolist():
                yield row, f"is perturbed and has a {name}"
        if self._perturbed is not None:
            yield from self._perturbed.problems(batch, shape[1])

    def extensions(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        return (*_FILES[: shape[0]], *(() if self._perturbed is None else self._perturbed.extensions))

    def to_members(self, batch: pa.RecordBatch) -> Members:
        members: dict[str, list[bytes]] = {
            file: [text.encode() for text in batch[name].to_pylist()]
            for name, file in zip(_COLUMNS, _FILES, strict=True)
            if name in batch.schema.names
        }
        return members if self._perturbed is None else {**members, **self._perturbed.to_members(batch)}

    def from_members(self, keys: Sequence[str], members: Members, shape: tuple[int, ...]) -> Arrays:
        columns = {
            name: pa.array([_text(row, data) for row, data in enumerate(members[file])], pa.string())
            for name, file in zip(_COLUMNS[: shape[0]], _FILES, strict=False)
        }
        return columns if self._perturbed is None else columns | self._perturbed.from_members(members, shape[-1])

    def bytes_per_sample(self, shape: tuple[int, ...]) -> int:
        # A manifest may promise a shape that has neither.
        longest, width = (*shape[1:], 0, 0)[:2]
        # Shifts are float32 in memory, whatever they are stored as.
        tokens = 0 if self._perturbed is None else longest * (4 * width + 8)
        return shape[0] * TEXT_BYTES + tokens

    def values_per_sample(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape[1:])

    def fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == (1 if self._perturbed is None else 3) and shape[0] in (1, 2)

    def describe(self, shape: tuple[int, ...]) -> str:
        return "a text" if shape[0] == 1 else "a pair of texts"


def _problem(text: Any) -> str | None:
    """What is wrong with a text of the source."""
    if text is None:
        return "no text in this row"
    if not isinstance(text, str):
        return f"not a text but {type(text).__name__}"
    if not text.strip():
        return "empty text"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "not valid Unicode"
    return f"{size:,} bytes of text, the limit is {TEXT_BYTES:,}; cut it" if size > TEXT_BYTES else None


def _text(row: int, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RowError(row, "its text is not UTF-8") from None
