"""From a climb in embedding space back to words: which ones lie near its end, and which promise the largest gap."""

from __future__ import annotations

import torch
from torch.nn import functional

_ROWS = 512
"""Points whose distances to all words are in memory at once."""


def nearest_words(points: torch.Tensor, words: torch.Tensor, count: int) -> torch.Tensor:
    """The words nearest to each point in angle: rare words have long embeddings, and would be far from everything.

    Args:
        points: (R, D) ends of climbs.
        words: (W, D) embeddings.
        count: how many; all where there are fewer.

    Returns:
        int64 (R, count), numbers of words, the nearest first.
    """
    count = min(count, len(words))
    directions = functional.normalize(words).T
    # The length of a point changes nothing in the order of words.
    near = [(rows @ directions).topk(count, dim=1)[1] for rows in points.split(_ROWS)]
    return torch.cat(near) if near else torch.zeros(0, count, dtype=torch.int64)


def promised_gains(gradient: torch.Tensor, here: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """First-order change of the gap when a token's embedding is exchanged (Ebrahimi et al., arXiv 1712.06751).

    Args:
        gradient: (R, D) of the gap by the embeddings.
        here: (R, D) embeddings as they are.
        there: (R, C, D) others in their place.

    Returns:
        (R, C).
    """
    return torch.einsum("rd,rcd->rc", gradient, there - here[:, None])
