"""The tokens of a perturbed text, and how far each was moved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.artifacts.promised import read_checked
from pipeline.datasets.dataset import Dataset
from pipeline.layout import TOKENIZER
from pipeline.storage import Folder
from pipeline.text.sentences import Perturbed

_MOST_BYTES = 2**26
"""Of a tokenizer's file that is looked at."""


@dataclass(frozen=True, slots=True)
class MovedToken:
    """One token of a text.

    Attributes:
        id: of it.
        token: as the tokenizer writes it, None where that is not known.
        text: number of the text that it is in.
        place: among all tokens of the sample, special ones included, from 0.
        shift: L2 norm of what is added to its embedding, in mean norms of the student's token embeddings where the
            manifest has that unit.
    """

    id: int
    token: str | None
    text: int
    place: int
    shift: float


def moved_tokens(dataset: Dataset, perturbed: Perturbed) -> list[MovedToken]:
    """The real tokens of a sample, the most moved first.

    Raises:
        BpkdError: the data set's tokenizer is missing or damaged.
    """
    shifts = np.linalg.norm(perturbed.delta.astype(np.float64), axis=1) / (embedding_unit(dataset) or 1.0)
    names, tokens = _names(dataset), perturbed.tokens
    places = np.flatnonzero(tokens.real)
    return [
        MovedToken(
            id=int(tokens.ids[places[index]]),
            token=names.get(int(tokens.ids[places[index]])),
            text=int(tokens.segments[places[index]]),
            place=int(places[index]),
            shift=float(shifts[index]),
        )
        for index in np.argsort(-shifts, kind="stable").tolist()
    ]


def embedding_unit(dataset: Dataset) -> float | None:
    """Mean norm of the student's token embeddings, None where the manifest does not tell."""
    made_for = dataset.details.embeddings
    return (made_for.unit or None) if made_for else None


def _names(dataset: Dataset) -> Mapping[int, str]:
    """Token id -> token, from the data set's tokenizer.json; empty where there is none that can be read.

    Only the vocabulary in it is looked at: a tokenizer from anyone has regular expressions and tables besides, which
    the library that knows them would set up.
    """
    entry = next((entry for entry in dataset.manifest.files if entry.path == TOKENIZER), None)
    if entry is None or entry.bytes > _MOST_BYTES:
        return {}
    data = read_checked(Folder(dataset.url), entry)
    try:
        described = json.loads(data)
        return _vocabulary(described["model"]["vocab"]) | {
            int(added["id"]): str(added["content"]) for added in described.get("added_tokens") or ()
        }
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}


def _vocabulary(vocabulary: Any) -> dict[int, str]:
    """Of most models token -> id, of unigram models (token, score) by id."""
    if isinstance(vocabulary, list):
        return {number: str(token) for number, (token, _) in enumerate(vocabulary)}
    return {int(number): str(token) for token, number in vocabulary.items()}
