from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.text.sentences import Tokens
from pipeline.text.words import Draft, alike, in_case_of


def draft(*texts: str) -> Draft:
    """Words of letters are tokens 1 to 99 by their order, everything else is 100."""
    pieces = [(m, number) for number, text in enumerate(texts) for m in re.finditer(r"[^\W\d_]+|\d+|[^\w\s]", text)]
    ids = [index if m[0].isalpha() else 100 for index, (m, _) in enumerate(pieces, 1)]
    tokens = Tokens(np.array([0, *ids, 0], np.int32), np.array([-1, *[0] * len(ids), -1], np.int8))
    return Draft.of(texts, tokens, [(number, *m.span()) for m, number in pieces], set(range(1, 100)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a fine film.", ["a", "fine", "film"]),
        ("the film's joy", ["the", "joy"]),
        ("it’s 3D, isn't it", ["it"]),
        ("90s pop (loud)", ["pop", "loud"]),
        ("...", []),
        ("", []),
    ],
)
def test_words_stand_alone(text: str, words: list[str]) -> None:
    found = draft(text)
    assert [found.written(number) for number in range(len(found.words))] == words


def test_exchanging_words_leaves_the_rest_as_it_is() -> None:
    found = draft("A fine, fine film!", "no joy")
    found = found.exchanged(1, "splendid").exchanged(4, "oh").exchanged(3, "x")
    assert found.texts == ("A splendid, fine x!", "oh joy")
    assert [word is None for word in found.words] == [False, True, False, True, True, False]
    assert found.written(2) == "fine" and found.written(5) == "joy"


@pytest.mark.parametrize(
    ("old", "surface", "expected"),
    [
        ("fine", "fine", "dull"),
        ("Fine", "fine", "Dull"),
        ("FINE", "fine", "DULL"),
        ("A", "a", "Dull"),
        ("Fine", "Fine", "dull"),
    ],
)
def test_a_word_takes_the_case_that_the_tokenizer_does_not_see(old: str, surface: str, expected: str) -> None:
    assert in_case_of(old, "dull", surface) == expected


@pytest.mark.parametrize(
    ("old", "new", "fits"),
    [
        ("fine", "good", True),
        ("Fine", "fine", False),
        ("fine", "é", False),
        ("fine", "x", False),
        ("a", "x", False),
        ("ή", "α", True),
    ],
)
def test_words_that_read_as_words(old: str, new: str, fits: bool) -> None:
    assert alike(old, new) is fits
