"""What a codec is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import pyarrow as pa
import torch


class Codec(Protocol):
    """Teacher outputs as an Arrow column, and as members of a WebDataset tar.

    A new codec is a class in a file of this folder and a line in `schemas.registry.CODECS`.
    """

    extensions: tuple[str, ...]
    """Of its members in a tar."""

    def column_type(self, width: int) -> pa.DataType:
        """Arrow type of the column for `width` logits per sample."""

    def representable(self, logits: torch.Tensor) -> torch.Tensor:
        """(N, K) -> bool (N,), on the same device: which rows `encode` takes."""

    def encode(self, logits: torch.Tensor) -> pa.Array:
        """(N, K) float32 -> column of N rows.

        Raises:
            UserError: a row that is not representable.
        """

    def decode(self, column: pa.Array) -> torch.Tensor:
        """Column of N rows -> (N, K) float32."""

    def to_members(self, column: pa.Array) -> Mapping[str, Sequence[bytes]]:
        """Column of N rows -> extension -> N files."""

    def from_members(self, members: Mapping[str, Sequence[bytes]], width: int) -> pa.Array:
        """What `to_members` gave -> the column.

        Raises:
            ValueError: a file does not hold `width` logits as this codec stores them.
        """
