"""The largest logits, and what all the others have together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.lazy import torch
from pipeline.logits.columns import SparseColumn, different
from pipeline.logits.options import require_count, require_temperature
from pipeline.logits.sparse import Logits, SparseLogits
from schemas.errors import UserError

_LIMIT = float(np.finfo(np.float16).max)


class TopK(SparseColumn):
    """The k largest logits as fp16 with their classes, and log sum exp(logit / T) over all others as fp32.

    At the temperature T the probability of each of the k, and that of the others together, are exact but for fp16.
    4 k + 4 bytes a sample with up to 65,536 classes, 6 k + 4 with more.

    Args:
        width: K, logits per sample.
        k: how many are kept; K where that is less.
        temperature: T, by default that of the training.
    """

    def __init__(self, width: int, k: int = 32, temperature: float = 4.0) -> None:
        super().__init__(width, min(require_count(k, "k"), width), ("logits", np.float16), "rest")
        self._temperature = require_temperature(temperature)
        self.options: dict[str, Any] = {"k": k, "temperature": temperature}

    def representable(self, logits: torch.Tensor) -> torch.Tensor:
        # Comparing is False for NaN, so this is also the test for finite values.
        return (logits.abs() <= _LIMIT).all(dim=1)

    def compress(self, logits: torch.Tensor, generator: torch.Generator) -> SparseLogits:
        logits = logits.detach().float().cpu()
        if not self.representable(logits).all():
            raise UserError(f"teacher logits are not all finite and within {_LIMIT:g}; leave such samples out")
        largest, classes = logits.topk(self._k, dim=1)
        others = (logits / self._temperature).scatter(1, classes, -math.inf)
        # Rounded here, so that it makes no difference whether it was stored meanwhile.
        return self._sparse(classes.int(), largest.half().float(), others.logsumexp(1))

    def encode(self, logits: Logits) -> pa.Array:
        assert isinstance(logits, SparseLogits)
        return self._join(logits.classes.numpy(), logits.logits.numpy(), logits.rest.numpy())

    def decode(self, column: pa.Array) -> SparseLogits:
        classes, logits, rest = self._split(column)
        assert rest is not None
        arrays = classes.astype(np.int32), logits.astype(np.float32), rest.astype(np.float32)
        return self._sparse(*map(torch.from_numpy, arrays))

    def valid(self, column: pa.Array) -> npt.NDArray[np.bool_]:
        good = self._known(column)
        classes, logits, rest = self._split(column.filter(pa.array(good)))
        assert rest is not None
        known = np.isfinite(rest) if self._k < self._width else rest == -math.inf
        distinct = different(classes, np.ones(classes.shape, np.bool_))
        good[good] = (classes < self._width).all(axis=1) & np.isfinite(logits).all(axis=1) & known & distinct
        return good

    def deviation(self, column: pa.Array, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        largest = torch.finfo(torch.float32).max
        stored, fine = self.decode(column), self.representable(logits)[:, None]
        chosen, logits = stored.classes.long(), torch.where(fine, logits, 0.0)
        smallest = stored.logits.amin(1, keepdim=True)
        others = (logits / self._temperature).scatter(1, chosen, -math.inf).logsumexp(1)
        rest = (self._temperature * (stored.rest - others)).abs().nan_to_num(0.0)[:, None]
        difference = torch.maximum((logits - smallest).clamp_min(0), rest).nan_to_num(largest)
        new = logits.gather(1, chosen)
        difference = difference.scatter(1, chosen, (stored.logits - new).abs())
        rounding = (new.half().float() - new).abs()
        allowed = rounding.amax(1, keepdim=True).repeat(1, self._width).scatter(1, chosen, rounding)
        return torch.where(fine, difference, largest), allowed

    def empty(self, count: int, width: int, device: torch.device) -> SparseLogits:
        shape = (count, self._k)
        return self._sparse(
            torch.empty(shape, dtype=torch.int32, device=device),
            torch.empty(shape, device=device),
            torch.empty(count, device=device),
        )

    def _sparse(self, classes: torch.Tensor, logits: torch.Tensor, rest: torch.Tensor) -> SparseLogits:
        return SparseLogits(classes, logits, rest, self._width, self._temperature)
