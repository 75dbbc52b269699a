"""What a codec of perturbations is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Delta = npt.NDArray[np.float32]
"""float32 (r, D): a shift of each of r token embeddings."""

Packed = dict[str, npt.NDArray[np.generic]]
"""Field name -> array with one entry per token."""


@dataclass(frozen=True, slots=True)
class Field:
    """One array that a codec stores per sample: a Parquet column, and a member `KEY.NAME.npy` of a tar.

    Attributes:
        name: of it.
        dtype: of its values.
        arrow: the same in Arrow.
        wide: D values per token, else one.
    """

    name: str
    dtype: np.dtype[np.generic]
    arrow: pa.DataType
    wide: bool


class DeltaCodec(Protocol):
    """Shifts of token embeddings as arrays of few bytes.

    `unpack(pack(x))` is what a reader adds to its embeddings and what the teacher labels; packing that again gives the
    same arrays. A new codec is a class in a file of this folder and a line in `schemas.registry.DELTAS`.
    """

    fields: Sequence[Field]

    tolerated: float | None
    """Share of the mean gap that rounding may cost before it is an error; None for any."""

    def pack(self, delta: Delta) -> Packed:
        """The arrays of `fields`. What is too large for them comes back as a value that is not finite."""

    def unpack(self, packed: Mapping[str, npt.NDArray[np.generic]]) -> Delta:
        """What `pack` gave -> float32 (r, D)."""
