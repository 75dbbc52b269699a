"""Every logit, as fp16 or fp32."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from schemas.errors import UserError


class _Dense:
    numpy_type: type[np.floating]
    arrow_type: pa.DataType

    def column_type(self, width: int) -> pa.DataType:
        return pa.list_(self.arrow_type, width)

    def encode(self, logits: torch.Tensor) -> pa.Array:
        values = logits.detach().float().cpu().numpy()
        limit, largest = float(np.finfo(self.numpy_type).max), float(np.abs(values).max(initial=0))
        if largest > limit:
            raise UserError(f'teacher logits reach {largest:g}, fp16 ends at {limit:g}; set cache.codec = "fp32"')
        values = values.astype(self.numpy_type)
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1), self.arrow_type), logits.shape[1])

    def decode(self, column: pa.Array) -> torch.Tensor:
        width = column.type.list_size
        values = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        return torch.from_numpy(values.reshape(-1, width))


class DenseFp16(_Dense):
    """2 bytes per class; rounds to 11 significant bits, and refuses logits beyond +-65504."""

    numpy_type = np.float16
    arrow_type = pa.float16()


class DenseFp32(_Dense):
    """4 bytes per class, exact."""

    numpy_type = np.float32
    arrow_type = pa.float32()
