"""Every logit, as fp16 or fp32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.lazy import torch
from pipeline.logits.sparse import Logits
from pipeline.npy import from_npys, to_npys
from schemas.errors import UserError

_NPY = "teacher.npy"


class _Dense:
    """K numbers per sample; KEY.teacher.npy holds them as (K,) of the same type as in the column."""

    extensions: tuple[str, ...] = (_NPY,)
    options: Mapping[str, Any] = {}
    dtype: np.dtype[Any]
    limit: float
    arrow_type: pa.DataType

    def column_type(self, width: int) -> pa.DataType:
        return pa.list_(self.arrow_type, width)

    def bytes_per_sample(self, width: int) -> int:
        return 4 * width

    def values_per_sample(self, width: int) -> int:
        return width

    def representable(self, logits: torch.Tensor) -> torch.Tensor:
        # Comparing is False for NaN, so this is also the test for finite values.
        return (logits.abs() <= self.limit).all(dim=1)

    def compress(self, logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return logits

    def encode(self, logits: Logits) -> pa.Array:
        assert isinstance(logits, torch.Tensor)
        logits = logits.detach().float().cpu()
        if not self.representable(logits).all():
            self._refuse(logits)
        return self._column(logits.numpy().astype(self.dtype))

    def decode(self, column: pa.Array) -> torch.Tensor:
        return torch.from_numpy(self._values(column).astype(np.float32))

    def valid(self, column: pa.Array) -> npt.NDArray[np.bool_]:
        finite: npt.NDArray[np.bool_] = np.isfinite(self._values(column)).all(axis=1)
        return finite

    def deviation(self, column: pa.Array, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fine = self.representable(logits)[:, None]
        rounded = self.decode(self.encode(torch.where(fine, logits, 0.0)))
        rounding = torch.where(fine, (rounded - logits).abs(), 0.0)
        return (self.decode(column) - logits).abs().nan_to_num(torch.finfo(torch.float32).max), rounding

    def to_members(self, column: pa.Array) -> Mapping[str, Sequence[bytes]]:
        return {_NPY: to_npys(self._values(column))}

    def from_members(self, members: Mapping[str, Sequence[bytes]], width: int) -> pa.Array:
        return self._column(from_npys(members[_NPY], self.dtype, (width,)))

    def empty(self, count: int, width: int, device: torch.device) -> torch.Tensor:
        return torch.empty(count, width, device=device)

    def _column(self, values: npt.NDArray[Any]) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1), self.arrow_type), values.shape[1])

    def _values(self, column: pa.Array) -> npt.NDArray[Any]:
        """(N, K) of the stored type."""
        values: npt.NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
        return values.reshape(-1, column.type.list_size)

    def _refuse(self, logits: torch.Tensor) -> None:
        if not logits.isfinite().all():
            raise UserError("teacher logits are not all finite; leave such samples out")
        raise UserError(
            f'teacher logits reach {float(logits.abs().max()):g}, fp16 ends at {self.limit:g}; set cache.codec = "fp32"'
        )


class DenseFp16(_Dense):
    """2 bytes per class; rounds to 11 significant bits, and refuses logits beyond +-65504."""

    dtype: np.dtype[Any] = np.dtype(np.float16)
    limit = float(np.finfo(np.float16).max)
    arrow_type = pa.float16()


class DenseFp32(_Dense):
    """4 bytes per class, exact."""

    dtype: np.dtype[Any] = np.dtype(np.float32)
    limit = float(np.finfo(np.float32).max)
    arrow_type = pa.float32()
