"""Words of a text as they stand there, and texts in which some of them are exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from pipeline.text.sentences import Tokens
from pipeline.text.tokenizer import Span, Texts

_APOSTROPHES = "'’"


@dataclass(frozen=True, slots=True)
class Word:
    """A word that is one token.

    Attributes:
        text: number of the text that it is in.
        start, end: its characters there.
        token: id of its token.
    """

    text: int
    start: int
    end: int
    token: int


@dataclass(frozen=True, slots=True)
class Draft:
    """Texts of which some words may be exchanged.

    Attributes:
        texts: as they are now.
        words: that may be exchanged, in their order; those that were have None in their place.
    """

    texts: Texts
    words: tuple[Word | None, ...]

    @classmethod
    def of(cls, texts: Texts, tokens: Tokens, spans: Sequence[Span], known: set[int]) -> Self:
        """All words of the texts that are one token among `known`; `spans` are those of the real tokens."""
        real = tokens.ids[tokens.real].tolist()
        words = (Word(*span, token) for span, token in zip(spans, real, strict=True) if token in known)
        return cls(texts, tuple(word for word in words if _stands_alone(texts[word.text], word)))

    def exchanged(self, number: int, written: str) -> Self:
        """With another word in place of the one of that number."""
        old = self.words[number]
        assert old is not None
        text = self.texts[old.text]
        texts = list(self.texts)
        texts[old.text] = text[: old.start] + written + text[old.end :]
        more = len(written) - (old.end - old.start)
        words = [
            replace(word, start=word.start + more, end=word.end + more)
            if word is not None and word.text == old.text and word.start > old.start
            else word
            for word in self.words
        ]
        words[number] = None
        return replace(self, texts=tuple(texts), words=tuple(words))

    def written(self, number: int) -> str:
        """The word of that number as it stands in its text."""
        word = self.words[number]
        assert word is not None
        return self.texts[word.text][word.start : word.end]


def in_case_of(old: str, new: str, surface: str) -> str:
    """`new` in upper or lower case as `old` is in its text, where the tokenizer made `surface` of it without case."""
    if old == surface:
        return new
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new.capitalize() if old[:1].isupper() else new


def alike(old: str, new: str) -> bool:
    """Whether `new` reads as a word in place of `old`: another one, in the same alphabet, and no mere letter."""
    is_word = len(new) > 1 or not new.isascii()  # in some scripts one sign is a word
    return is_word and new.casefold() != old.casefold() and new.isascii() == old.isascii()


def _stands_alone(text: str, word: Word) -> bool:
    """Not part of a longer word, nor one with an apostrophe: "film's" has no words to exchange."""
    beside = text[max(word.start - 1, 0) : word.start] + text[word.end : word.end + 1]
    return not any(sign.isalnum() or sign in _APOSTROPHES for sign in beside)
