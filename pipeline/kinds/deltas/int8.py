from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.kinds.deltas.base import Delta, Field, Packed

_LEVELS = 127
_SMALLEST, _NORMAL = np.float32(2**-24), np.float32(2**-14)
"""Of fp16: its least number, and the least with all 11 bits."""


class Int8Delta:
    """1 byte per value: levels from -127 to 127 of a scale per token, which is the token's largest value / 127 as fp16.

    Rounding moves a value by half a level at most, in a direction that has little to do with the gradient. A token all
    of whose values are below 2^-25 is not shifted.
    """

    fields = (
        Field("delta", np.dtype(np.int8), pa.int8(), wide=True),
        Field("scale", np.dtype(np.float16), pa.float16(), wide=False),
    )
    tolerated: float | None = 0.01

    def pack(self, delta: Delta) -> Packed:
        largest = np.abs(delta).max(axis=1, initial=0)
        with np.errstate(over="ignore", invalid="ignore"):
            scale = _scale(largest)
            divisor = np.where(scale > 0, scale, np.inf).astype(np.float32)[:, None]
            # A scale that is not finite comes back as values that are not, whatever the levels.
            levels = np.nan_to_num(np.rint(delta / divisor))
        return {"delta": levels.astype(np.int8), "scale": scale}

    def unpack(self, packed: Mapping[str, npt.NDArray[np.generic]]) -> Delta:
        with np.errstate(invalid="ignore"):
            return packed["delta"].astype(np.float32) * packed["scale"].astype(np.float32)[:, None]


def _scale(largest: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """fp16 (r,), one level of each token.

    Where fp16 has few bits left, the next power of two: the nearest number may be so much less that 127 levels do not
    reach the largest value, and need not be found again from what it gives.
    """
    exact = largest / np.float32(_LEVELS)
    fraction, exponent = np.frexp(exact)
    power = np.ldexp(np.float32(1), exponent - (fraction == 0.5))
    scale = np.where(exact < _NORMAL, np.maximum(power, _SMALLEST), exact)
    return np.where(largest <= _SMALLEST / 2, np.float32(0), scale).astype(np.float16)
