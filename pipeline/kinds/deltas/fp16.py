from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.kinds.deltas.base import Delta, Field, Packed


class Fp16Delta:
    """2 bytes per value, 11 significant bits."""

    fields = (Field("delta", np.dtype(np.float16), pa.float16(), wide=True),)
    tolerated: float | None = None

    def pack(self, delta: Delta) -> Packed:
        with np.errstate(over="ignore"):
            return {"delta": delta.astype(np.float16)}

    def unpack(self, packed: Mapping[str, npt.NDArray[np.generic]]) -> Delta:
        return packed["delta"].astype(np.float32)
