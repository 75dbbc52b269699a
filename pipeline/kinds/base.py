"""What every kind of sample provides."""

from __future__ import annotations

from typing import Any, Protocol

import numpy.typing as npt
import torch

Stored = npt.NDArray[Any]
"""Samples as they are stored: uint8 (N, C, H, W) for images, float32 (N, D) for arrays."""


class Kind(Protocol):
    """How one kind of sample is decoded, shown to a model and stored again.

    `decode` and `encode` treat one sample without the leading N; `to_inputs` and `to_stored` treat a batch.
    `to_stored(to_inputs(x)) == x` and `decode(encode(x)) == x` hold for every stored x, so that a label made for the
    stored form belongs to exactly what a reader will see.
    """

    column: str
    """Name of its Parquet column: image or tensor."""

    extension: str
    """Of its member in a WebDataset tar: png or input.npy."""

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

    def describe(self, shape: tuple[int, ...]) -> str:
        """A sample's shape in the user's words, for messages."""
