"""Tokenizers of the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Protocol

import numpy as np

from pipeline.text.sentences import Tokens
from pipeline.text.tokenizer import Encoded, Span, Texts
from schemas.errors import UserError, clipped

_MARKS = "▁Ġ "  # what tokenizers put before the first letter of a word


class OwnTokenizer(Protocol):
    """What `tokenizer = "path/to/file.py:callable"` must return; docs/text_models.md has an example.

    Attributes:
        vocabulary: token -> id.
        pad_id: of the padding token.
        special: ids that go before the first text, between the two texts of a pair, and at the end.
    """

    vocabulary: Mapping[str, int]
    pad_id: int
    special: tuple[Sequence[int], Sequence[int], Sequence[int]]

    def encode(self, text: str) -> Sequence[tuple[int, int, int]]:
        """Tokens of one text, no special ones: (id, first character, character after the last) of each."""
        ...


class OwnBackend:
    """A tokenizer of the user's own, with special tokens, pairs and cutting added.

    Args:
        tokenizer: the user's.
        max_length: tokens of a sample at most.
        where: the setting that named it, for messages.

    Raises:
        UserError: it lacks a part of the protocol, or its parts do not fit each other.
    """

    segmented = True

    def __init__(self, tokenizer: OwnTokenizer, max_length: int, where: str) -> None:
        lacking = [n for n in ("vocabulary", "pad_id", "special", "encode") if not hasattr(tokenizer, n)]
        if lacking:
            raise UserError(
                f"{where}: its {type(tokenizer).__name__} has no {lacking[0]!r}; "
                "a tokenizer has vocabulary, pad_id, special and encode(text)"
            )
        self._own, self._where, self._max_length = tokenizer, where, max_length
        self.vocabulary = {str(token): int(index) for token, index in tokenizer.vocabulary.items()}
        self.pad_id = int(tokenizer.pad_id)
        self._known = frozenset(self.vocabulary.values())
        try:
            before, between, end = ([int(index) for index in part] for part in tokenizer.special)
        except (TypeError, ValueError):
            takes = "three lists of ids: before the first text, between two, at the end"
            raise UserError(f"{where}: special = {clipped(repr(tokenizer.special))}; takes {takes}") from None
        strange = [index for index in (self.pad_id, *before, *between, *end) if index not in self._known]
        if strange:
            raise UserError(f"{where}: special or pad_id has id {strange[0]}, which its vocabulary does not have")
        self._before, self._between, self._end = before, between, end
        self.specials = len(before) + len(end)

    def encode(self, texts: Sequence[Texts], *, cut: bool = True) -> list[Encoded]:
        return [self._join([self._tokens(text) for text in sample], cut) for sample in texts]

    def surfaces(self) -> dict[int, str]:
        return {index: token.strip(_MARKS) for token, index in self.vocabulary.items()}

    def to_json(self) -> None:
        return None

    def _tokens(self, text: str) -> list[Span]:
        found = self._own.encode(text)
        try:
            tokens = [(int(index), int(start), int(end)) for index, start, end in found]
        except (TypeError, ValueError):
            tokens = [(-1, 0, 0)]
        if any(index not in self._known or not 0 <= start <= end <= len(text) for index, start, end in tokens):
            takes = "ids of its vocabulary with the characters that each stands for: [(id, start, end), ...]"
            call = f"encode({clipped(repr(text), 40)})"
            raise UserError(f"{self._where}: {call} returns {clipped(repr(found), 80)}; must return {takes}")
        return tokens

    def _join(self, parts: list[list[Span]], cut: bool) -> Encoded:
        between = self._between if len(parts) == 2 else []
        if cut:
            room = self._max_length - len(self._before) - len(between) - len(self._end)
            parts = _cut(parts, max(room, 0))
        last = len(parts) - 1
        rows = [
            *((index, -1, (0, 0, 0)) for index in self._before),
            *((index, 0, (0, start, end)) for index, start, end in parts[0]),
            *((index, -1, (0, 0, 0)) for index in between),
            *((index, 1, (1, start, end)) for index, start, end in chain(*parts[1:])),
            *((index, -1 - last, (0, 0, 0)) for index in self._end),
        ]
        ids, segments = np.array([row[0] for row in rows], np.int32), np.array([row[1] for row in rows], np.int8)
        return Encoded(Tokens(ids, segments), [row[2] for row in rows])


def _cut(parts: list[list[Span]], room: int) -> list[list[Span]]:
    """At most `room` tokens together; of a pair the longer one is cut first, and then both alike."""
    if len(parts) == 1:
        return [parts[0][:room]]
    first, second = parts
    if len(first) + len(second) <= room:
        return parts
    kept = max(min(len(second), room // 2), room - len(first))
    return [first[: room - kept], second[:kept]]
