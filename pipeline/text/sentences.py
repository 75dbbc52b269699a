"""Text samples as they are stored: sentences, some of them with a perturbation of their token embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.lazy import torch


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """One sample's tokens, special ones included, without padding.

    Attributes:
        ids: int32 (n,).
        segments: int8 (n,): 0 for a token of the first text, 1 of the second; -1 - segment for a special token.
    """

    ids: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def real(self) -> npt.NDArray[np.bool_]:
        """bool (n,): tokens of the texts themselves."""
        mask: npt.NDArray[np.bool_] = self.segments >= 0
        return mask


@dataclass(frozen=True, slots=True, eq=False)
class Perturbed:
    """Tokens whose embeddings are shifted.

    Attributes:
        tokens: which ones.
        delta: float32 (r, D), a shift for each of the r real tokens in their order, in the space of the embeddings of
            the student that the climb was against.
    """

    tokens: Tokens
    delta: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """One text sample: a text, a pair of texts, or the end of a climb in embedding space.

    Attributes:
        texts: one or two; empty strings where there is a perturbation, which no text can tell.
        perturbed: the end of the climb, None for plain text.
    """

    texts: tuple[str, ...]
    perturbed: Perturbed | None = None

    @property
    def length(self) -> int:
        """Something that grows with the number of tokens: characters, or a guess of them."""
        return sum(map(len, self.texts)) if self.perturbed is None else 5 * len(self.perturbed.tokens)


@dataclass(frozen=True, slots=True)
class Sentences:
    """Inputs of a text model: N sentences. `stored` is an object array (N,) of `Sentence`."""

    stored: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.stored)

    def __iter__(self) -> Iterator[Sentence]:
        return iter(self.stored)

    def to(self, device: torch.device | str) -> Self:
        """Itself: text becomes a tensor in the model, on the model's device."""
        return self
