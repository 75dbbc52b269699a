"""From texts to tokens: one interface over fast tokenizers and the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from pipeline.lazy import torch
from pipeline.text.batch import TokenBatch
from pipeline.text.recent import Recent
from pipeline.text.sentences import Tokens

Texts = tuple[str, ...]
"""One text, or a pair."""

Span = tuple[int, int, int]
"""Where a token comes from: number of the text (0 or 1), first character, character after the last."""

_BEFORE = "a"  # any word: a token that stands for a word in the middle of a text is looked for after it


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sample's tokens and the place of each in the texts; of a special token the place says nothing."""

    tokens: Tokens
    spans: list[Span]


class Backend(Protocol):
    """What `Tokenizer` stands on.

    Attributes:
        vocabulary: token -> id.
        pad_id: of the padding token.
        specials: how many special tokens a sample of one text gets.
        segmented: whether models are told which tokens belong to the second text of a pair.
    """

    vocabulary: dict[str, int]
    pad_id: int
    specials: int
    segmented: bool

    def encode(self, texts: Sequence[Texts], *, cut: bool = True) -> list[Encoded]:
        """Tokens with the special ones; `cut` to the length that the backend was made for."""
        ...

    def surfaces(self) -> dict[int, str]:
        """Id -> how that token alone is written, without spaces round it."""
        ...

    def to_json(self) -> bytes | None:
        """The tokenizer as a file that `tokenizers.Tokenizer.from_file` reads; None if it has no such form."""
        ...


class Tokenizer:
    """Texts to padded tokens. Does not change once made; threads may share it, and copies of a model do.

    Args:
        backend: what does the work.
        max_length: tokens of a sample, special ones included, at most; of a pair the longer text is cut first.
    """

    def __init__(self, backend: Backend, max_length: int) -> None:
        self.backend = backend
        self.max_length = max_length
        self._recent: Recent[Texts, Tokens] = Recent()
        self._words: tuple[npt.NDArray[np.int64], list[str]] | None = None

    def __deepcopy__(self, memo: object) -> Self:
        return self

    @property
    def vocabulary(self) -> dict[str, int]:
        """Token -> id."""
        return self.backend.vocabulary

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.vocabulary)

    @property
    def segmented(self) -> bool:
        """Whether models are told which tokens belong to the second text of a pair."""
        return self.backend.segmented

    def encode(self, texts: Sequence[Texts]) -> list[Tokens]:
        """Tokens of N samples of one or two texts, special tokens added, cut to `max_length`; remembered for a while.

        A sample of which no token is left gets one padding token, as a special one, so that a model can run on it.
        """
        found = [self._recent.get(sample) for sample in texts]
        new = [sample for sample, tokens in zip(texts, found, strict=True) if tokens is None]
        made = iter(self.backend.encode(new) if new else ())
        return [self._remember(sample, next(made)) if t is None else t for sample, t in zip(texts, found, strict=True)]

    def offsets(self, texts: Sequence[Texts]) -> list[list[Span]]:
        """For each of N samples and each of its real tokens in their order: where it stands in the sample's texts.

        Spaces at the ends do not count, even where they belong to the token.
        """
        result = []
        for sample, encoded in zip(texts, self.backend.encode(texts), strict=True):
            real = np.flatnonzero(encoded.tokens.real)
            result.append([_without_spaces(sample, encoded.spans[index]) for index in real])
        return result

    def batch(self, tokens: Sequence[Tokens]) -> TokenBatch:
        """N > 0 samples padded on the right to the longest, on the CPU."""
        shape = (len(tokens), max(map(len, tokens)))
        ids = np.full(shape, self.backend.pad_id, np.int64)
        mask, segments = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        real = np.zeros(shape, np.bool_)
        for row, sample in enumerate(tokens):
            count = len(sample)
            ids[row, :count] = sample.ids
            mask[row, :count] = 1
            segments[row, :count] = np.where(sample.real, sample.segments, -1 - sample.segments)
            real[row, :count] = sample.real
        return TokenBatch(*map(torch.from_numpy, (ids, mask, segments, real)))

    def words(self) -> tuple[npt.NDArray[np.int64], list[str]]:
        """The tokens that are whole words of letters: their ids (W,), ascending, and how each is written.

        A word is one if, written after another word and a space, it becomes this one token. So of a tokenizer that
        marks the start of words, only marked tokens are words, and of WordPiece only those that do not continue one.
        """
        if self._words is None:
            surfaces = {index: text for index, text in sorted(self.backend.surfaces().items()) if text.isalpha()}
            before = [int(i) for i in self._real(_BEFORE)[0]]
            after = self._real(*(f"{_BEFORE} {text}" for text in surfaces.values()))
            pairs = zip(surfaces.items(), after, strict=True)
            words = {index: text for (index, text), ids in pairs if ids.tolist() == [*before, index]}
            self._words = np.array(list(words), np.int64), list(words.values())
        return self._words

    def to_json(self) -> bytes | None:
        """The tokenizer as a file that `tokenizers.Tokenizer.from_file` reads; None for one of the user's own."""
        return self.backend.to_json()

    def _remember(self, sample: Texts, encoded: Encoded) -> Tokens:
        tokens = encoded.tokens
        if not len(tokens):
            tokens = Tokens(np.array([self.backend.pad_id], np.int32), np.array([-1], np.int8))
        self._recent.put(sample, tokens, sum(map(len, sample)))
        return tokens

    def _real(self, *texts: str) -> list[npt.NDArray[np.int32]]:
        encoded = self.backend.encode([(text,) for text in texts], cut=False) if texts else []
        return [one.tokens.ids[one.tokens.real] for one in encoded]


def _without_spaces(sample: Texts, span: Span) -> Span:
    text, start, end = span
    piece = sample[text][start:end]
    start += len(piece) - len(piece.lstrip())
    return text, start, start + len(piece.strip())
