"""What a codec is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.lazy import torch
from pipeline.logits.sparse import Logits


class Codec(Protocol):
    """Teacher outputs as an Arrow column, and as members of a WebDataset tar.

    A new codec is a class in a file of this folder and a line in `schemas.registry.CODECS`. Its constructor is called
    with `cache.codec_options`, and with those of `width` (logits per sample) and `temperature` (of the training) that
    it takes.
    """

    options: Mapping[str, Any]
    """What it has to be built with again to read what it has written, besides the width; {} for nothing."""

    extensions: tuple[str, ...]
    """Of its members in a tar."""

    def column_type(self, width: int) -> pa.DataType:
        """Arrow type of the column for `width` logits per sample."""

    def bytes_per_sample(self, width: int) -> int:
        """What `width` logits of one sample take at most, decoded or not."""

    def values_per_sample(self, width: int) -> int:
        """Numbers of one sample in the longest list of its column."""

    def representable(self, logits: torch.Tensor) -> torch.Tensor:
        """(N, K) -> bool (N,), on the same device: which rows `encode` takes."""

    def compress(self, logits: torch.Tensor, generator: torch.Generator) -> Logits:
        """(N, K) float32 -> what is kept of it; what is random comes from `generator`, a CPU generator.

        Raises:
            UserError: a row that is not representable.
        """

    def encode(self, logits: Logits) -> pa.Array:
        """N rows as `compress` or `decode` gives them -> column.

        Raises:
            UserError: a row that is not representable.
        """

    def decode(self, column: pa.Array) -> Logits:
        """Column of N rows -> what is trained on."""

    def empty(self, count: int, width: int, device: torch.device) -> Logits:
        """Room for so many rows on a device."""

    def valid(self, column: pa.Array) -> npt.NDArray[np.bool_]:
        """Column of N rows, none of them null -> bool (N,): which ones a student may learn from."""

    def deviation(self, column: pa.Array, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """How far each of N valid rows is from (N, K) `logits`, and how far it may be by what `encode` rounds off.

        Returns:
            Both (N, K) float32. The distance to a logit that is not finite is the largest float32.
        """

    def to_members(self, column: pa.Array) -> Mapping[str, Sequence[bytes]]:
        """Column of N rows -> extension -> N files."""

    def from_members(self, members: Mapping[str, Sequence[bytes]], width: int) -> pa.Array:
        """What `to_members` gave -> the column.

        Raises:
            RowError: a file does not hold `width` logits as this codec stores them.
        """
