"""Two texts word by word."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that stand in the same place of two texts: one word each, or none or many where whole stretches differ."""

    before: str
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after


def compare(before: str, after: str) -> list[Piece]:
    """Pieces of both texts in their order; takes time in proportion to their length.

    Texts of as many words are compared in each place, others between the first and the last words that differ.
    """
    old, new = before.split(), after.split()
    if len(old) == len(new):
        return [Piece(*pair) for pair in zip(old, new, strict=True)]
    shorter = min(len(old), len(new))
    start = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    end = next((i for i in range(shorter - start) if old[-1 - i] != new[-1 - i]), shorter - start)
    middle = Piece(" ".join(old[start : len(old) - end]), " ".join(new[start : len(new) - end]))
    same = [Piece(word, word) for word in old]
    return [*same[:start], middle, *same[len(old) - end :]]
