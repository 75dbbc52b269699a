"""What every kind of sample provides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.lazy import torch
from pipeline.text.sentences import Sentences
from schemas.errors import SampleError

T = TypeVar("T")

Stored = npt.NDArray[Any]
"""Samples as they are stored: uint8 (N, C, H, W) for images, float32 (N, D) for arrays, objects (N,) for text."""

Inputs: TypeAlias = "torch.Tensor | Sentences"
"""N samples as a model takes them."""

Arrays = dict[str, pa.Array]
"""A sample's columns by name, N rows each."""

Members = Mapping[str, Sequence[bytes]]
"""Files in a WebDataset tar: extension -> N files, one per sample."""


class Kind(Protocol):
    """How one kind of sample is decoded, shown to a model and stored again.

    `decode` and `shape_of` treat one sample; the others treat a batch, a record batch with the sample's columns (and
    others), or what a sample of some shape takes. `from_columns(to_columns(keys, x, shape), shape) == x` holds for
    every stored x, so that a label made for the stored form belongs to exactly what a reader will see.

    A new kind is a class in a file of this folder and a line in `schemas.registry.KINDS`.
    """

    column: str
    """What a source is asked for, and the Parquet column that no sample lacks: image, tensor or text."""

    mined: Sequence[str]
    """Columns that only auxiliary samples may have a value in."""

    features: Mapping[str, dict[str, Any]]
    """For Hugging Face `datasets`, of those columns whose Arrow type does not say it all."""

    dtype: np.dtype[Any]
    """Of the stored form."""

    natural_bounds: tuple[float, float] | None
    """Valid range of every input, None where only the data can tell or there is none."""

    def decode(self, payload: Any) -> Any:
        """One stored sample from what a source holds.

        Raises:
            SampleError: the payload is broken; the message says how.
        """

    def decode_all(self, payloads: Sequence[Any], shape: tuple[int, ...]) -> Iterator[Any]:
        """For each payload what `decode` gives, or the SampleError that it raises.

        Args:
            payloads: what a source holds.
            shape: that the stored samples should have; they are not compared with it.
        """

    def shape_of(self, sample: Any) -> tuple[int, ...]:
        """Of what `decode` gave."""

    def stack(self, samples: Sequence[Any]) -> Stored:
        """N > 0 samples of one shape, as `decode` gives them."""

    def to_inputs(self, stored: Stored | torch.Tensor) -> Inputs:
        """As a model takes them: float32 in the user's input space, or sentences. A tensor stays on its device."""

    def lengths(self, stored: Stored) -> npt.NDArray[np.int64] | None:
        """(N,) by which samples go together in a batch at little padding; None where all are alike."""

    def observe(self, stored: Stored) -> dict[str, list[float]]:
        """Least and greatest value per feature, `low` and `high`, of N > 0 samples; empty where nobody needs it."""

    def blank(self, shape: tuple[int, ...]) -> Stored:
        """One sample, to see what a model makes of it."""

    def arrow_types(self, shape: tuple[int, ...]) -> dict[str, pa.DataType]:
        """Names and types of the columns for stored samples of `shape`."""

    def to_columns(self, keys: Sequence[str], stored: Stored, shape: tuple[int, ...]) -> Arrays:
        """N keys and stored samples of `shape` -> columns of N rows."""

    def from_columns(self, batch: pa.RecordBatch, shape: tuple[int, ...]) -> Stored:
        """N rows -> stored samples, in memory of their own.

        Raises:
            RowError: a row is broken or of another shape.
        """

    def problems(self, batch: pa.RecordBatch, shape: tuple[int, ...]) -> Iterator[tuple[int, str]]:
        """(row, what is wrong) of every one of N samples that is seen to be broken at little cost; not of null.

        Args:
            batch: with the column `key` besides.
            shape: of the samples.

        `from_columns` may find more.
        """

    def extensions(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Of the members in a WebDataset tar: png or input.npy; every sample has them."""

    def to_members(self, batch: pa.RecordBatch) -> Members:
        """N rows -> files in a tar."""

    def from_members(self, keys: Sequence[str], members: Members, shape: tuple[int, ...]) -> Arrays:
        """Files in a tar -> columns, as `to_columns` makes them. Images are not decoded.

        Raises:
            RowError: a file cannot be such a sample.
        """

    def bytes_per_sample(self, shape: tuple[int, ...]) -> int:
        """What one stored sample takes at most, of any shape: also of one that does not fit."""

    def values_per_sample(self, shape: tuple[int, ...]) -> int:
        """Values in the longest column of one sample, at most."""

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether stored samples can have this shape."""

    def describe(self, shape: tuple[int, ...]) -> str:
        """A sample's shape in the user's words, for messages."""


class TensorKind(Kind, Protocol):
    """A kind whose inputs are tensors, in which a climb can move."""

    def to_inputs(self, stored: Stored | torch.Tensor) -> torch.Tensor:
        """float32 in the user's input space."""

    def to_stored(self, inputs: torch.Tensor) -> Stored:
        """The nearest storable samples; `to_stored(to_inputs(x)) == x` for every stored x."""


def tried(decode: Callable[[Any], T], payload: Any) -> T | SampleError:
    """What `Kind.decode` gives or raises."""
    try:
        return decode(payload)
    except SampleError as error:
        return error
