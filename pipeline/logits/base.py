"""What a codec is."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa
import torch


class Codec(Protocol):
    """Teacher outputs as an Arrow column.

    A new codec is a class in a file of this folder and a line in `schemas.registry.CODECS`.
    """

    def column_type(self, width: int) -> pa.DataType:
        """Arrow type of the column for `width` logits per sample."""

    def encode(self, logits: torch.Tensor) -> pa.Array:
        """(N, K) float32 -> column of N rows."""

    def decode(self, column: pa.Array) -> torch.Tensor:
        """Column of N rows -> (N, K) float32."""
