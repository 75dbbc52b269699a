"""Classes drawn by the teacher's probabilities."""

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

_DOUBT = 1e-9
"""How often, of honest data, a drawn share is further from its probability than `deviation` allows."""


class Sampled(SparseColumn):
    """How often each class came in n draws from softmax(logits / T) (Sparse Logit Sampling, arXiv 2503.16870).

    count / n is an unbiased estimate of every probability, and so is the gradient of a divergence by the student,
    which that of the largest logits alone is not. 3 n bytes a sample with up to 65,536 classes, 5 n with more.

    Args:
        width: K, logits per sample.
        draws: n, 1 to 255.
        temperature: T, by default that of the training, at which alone a student can be trained.
    """

    def __init__(self, width: int, draws: int = 32, temperature: float = 4.0) -> None:
        super().__init__(width, require_count(draws, "draws", 255), ("counts", np.uint8))
        self._temperature = require_temperature(temperature)
        self.options: dict[str, Any] = {"draws": draws, "temperature": temperature}

    def representable(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.isfinite().all(dim=1)

    def compress(self, logits: torch.Tensor, generator: torch.Generator) -> SparseLogits:
        logits = logits.detach().float().cpu()
        if not self.representable(logits).all():
            raise UserError("teacher logits are not all finite; leave such samples out")
        if not len(logits):
            return self.empty(0, self._width, torch.device("cpu"))
        shares = (logits / self._temperature).softmax(1)
        drawn = shares.multinomial(self._k, replacement=True, generator=generator).sort(1)[0]
        new = torch.ones_like(drawn, dtype=torch.bool)
        new[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
        place = new.cumsum(1) - 1
        counts = torch.zeros_like(drawn).scatter_add_(1, place, torch.ones_like(drawn))
        # Places that are left repeat the first class.
        classes = drawn[:, :1].repeat(1, self._k).scatter_(1, place, drawn)
        return self._sparse(classes.int(), counts.float())

    def encode(self, logits: Logits) -> pa.Array:
        assert isinstance(logits, SparseLogits)
        counts = (logits.logits.exp() * self._k).round()
        return self._join(logits.classes.numpy(), counts.numpy())

    def decode(self, column: pa.Array) -> SparseLogits:
        classes, counts, _ = self._split(column)
        return self._sparse(torch.from_numpy(classes.astype(np.int32)), torch.from_numpy(counts.astype(np.float32)))

    def valid(self, column: pa.Array) -> npt.NDArray[np.bool_]:
        good = self._known(column)
        classes, counts, _ = self._split(column.filter(pa.array(good)))
        complete = counts.sum(axis=1, dtype=np.int64) == self._k
        good[good] = (classes < self._width).all(axis=1) & complete & different(classes, counts > 0)
        return good

    def deviation(self, column: pa.Array, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fine = self.representable(logits)[:, None]
        wanted = (torch.where(fine, logits, 0.0) / self._temperature).softmax(1)
        stored = self.decode(column)
        shares = torch.zeros_like(wanted).scatter_add_(1, stored.classes.long(), stored.logits.exp())
        # Hoeffding's bound on the mean of n draws.
        allowed = torch.full_like(wanted, math.sqrt(math.log(2 / _DOUBT) / (2 * self._k)))
        return torch.where(fine, (shares - wanted).abs(), torch.finfo(torch.float32).max), allowed

    def empty(self, count: int, width: int, device: torch.device) -> SparseLogits:
        shape = (count, self._k)
        classes = torch.zeros(shape, dtype=torch.int32, device=device)
        return self._sparse(classes, torch.zeros(shape, device=device))

    def _sparse(self, classes: torch.Tensor, counts: torch.Tensor) -> SparseLogits:
        shares = (counts / self._k).log()
        rest = torch.full((len(counts),), -math.inf, device=counts.device)
        return SparseLogits(classes, shares, rest, self._width, self._temperature, drawn=True)
