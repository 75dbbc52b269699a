"""Two texts word by word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.comparison import Piece, compare

WORDS = st.lists(st.sampled_from(["a", "good", "film", "no", "joy"]), max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("a good film", "a good film", []),
        ("a good film", "a bad film", [("good", "bad")]),
        ("a good film", "The good story", [("a", "The"), ("film", "story")]),
        ("a  good\nfilm", "a good film", []),
        ("a good film", "a very good film", [("", "very")]),
        ("a very good film", "a film", [("very good", "")]),
        ("a good film", "a fine old film", [("good", "fine old")]),
        ("no no", "no", [("no", "")]),
        ("", "joy", [("", "joy")]),
        ("", "", []),
    ],
)
def test_words_that_differ(before: str, after: str, changes: list[tuple[str, str]]) -> None:
    assert [(piece.before, piece.after) for piece in compare(before, after) if piece.changed] == changes


@given(WORDS, WORDS)
def test_nothing_is_lost(before: str, after: str) -> None:
    pieces = compare(before, after)
    assert " ".join(piece.before for piece in pieces if piece.before) == before
    assert " ".join(piece.after for piece in pieces if piece.after) == after
    assert compare(before, before) == [Piece(word, word) for word in before.split()]
