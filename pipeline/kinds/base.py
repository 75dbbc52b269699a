"""What every kind of sample provides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

Stored = npt.NDArray[Any]
"""Samples as they are stored: uint8 (N, C, H, W) for images, float32 (N, D) for arrays."""

Members = Mapping[str, Sequence[bytes]]
"""Files in a WebDataset tar: extension -> N files, one per sample."""


class Kind(Protocol):
    """How one kind of sample is decoded, shown to a model and stored again.

    `decode` and `encode` treat one sample without the leading N; the others treat a batch.
    `to_stored(to_inputs(x)) == x`, `decode(encode(x)) == x` and `from_column(to_column(keys, x)) == x` hold for every
    stored x, so that a label made for the stored form belongs to exactly what a reader will see.

    A new kind is a class in a file of this folder and a line in `schemas.registry.KINDS`.
    """

    column: str
    """Name of its Parquet column: image or tensor."""

    extensions: tuple[str, ...]
    """Of its members in a WebDataset tar: png or input.npy."""

    feature: dict[str, Any] | None
    """Its column's feature for Hugging Face `datasets`, None where the Arrow type says it all."""

    dtype: np.dtype[Any]
    """Of the stored form."""

    natural_bounds: tuple[float, float] | None
    """Valid range of every input, None where only the data can tell."""

    def decode(self, payload: Any) -> Stored:
        """One stored sample from what a source holds.

        Raises:
            SampleError: the payload is broken; the message says how.
        """

    def encode(self, stored: Stored) -> bytes:
        """The bytes that go into a data set, the same for the same sample."""

    def to_inputs(self, stored: Stored | torch.Tensor) -> torch.Tensor:
        """float32 in the user's input space; a tensor stays on its device."""

    def to_stored(self, inputs: torch.Tensor) -> Stored:
        """The nearest storable samples."""

    def arrow_type(self, shape: tuple[int, ...]) -> pa.DataType:
        """Type of the column for stored samples of `shape`."""

    def to_column(self, keys: Sequence[str], stored: Stored) -> pa.Array:
        """N keys and stored samples (N, ...) -> column of N rows."""

    def from_column(self, column: pa.Array, shape: tuple[int, ...]) -> Stored:
        """Column of N rows -> stored samples (N, *shape), in memory of their own.

        Raises:
            RowError: a row is broken or of another shape.
        """

    def problems(self, keys: pa.Array, column: pa.Array, shape: tuple[int, ...]) -> Iterator[tuple[int, str]]:
        """(row, what is wrong) of every one of N samples that is seen to be broken at little cost; not of null.

        `from_column` may find more.
        """

    def to_members(self, column: pa.Array) -> Members:
        """Column -> files in a tar."""

    def from_members(self, keys: Sequence[str], members: Members, shape: tuple[int, ...]) -> pa.Array:
        """Files in a tar -> column, as `to_column` makes it. Images are not decoded.

        Raises:
            RowError: a file cannot be such a sample.
        """

    def bytes_per_sample(self, shape: tuple[int, ...]) -> int:
        """What one stored sample of this shape takes at most."""

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether stored samples can have this shape."""

    def describe(self, shape: tuple[int, ...]) -> str:
        """A sample's shape in the user's words, for messages."""
