from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources import Chunk
from pipeline.sources.chunks import drawn_chunks, first_chunks

rows_of_files = st.dictionaries(st.text("abc", min_size=1), st.integers(0, 30), max_size=5)


def covered(chunks: list[Chunk]) -> list[tuple[str, int]]:
    return [(chunk.file, row) for chunk in chunks for row in chunk.rows]


@pytest.mark.parametrize(
    ("rows", "limit", "expected"),
    [
        ({"a": 5, "b": 2}, None, [("a", 0, 2), ("a", 2, 4), ("a", 4, 5), ("b", 0, 2)]),
        ({"a": 5, "b": 2}, 6, [("a", 0, 2), ("a", 2, 4), ("a", 4, 5), ("b", 0, 1)]),
        ({"a": 5, "b": 2}, 3, [("a", 0, 2), ("a", 2, 3)]),
        ({"a": 0, "b": 1}, 9, [("b", 0, 1)]),
    ],
)
def test_first_chunks(rows: dict[str, int], limit: int | None, expected: list[Any]) -> None:
    chunks = list(first_chunks(list(rows.items()), 2, limit))
    assert chunks == [Chunk(index, *chunk) for index, chunk in enumerate(expected)]


@given(rows_of_files, st.integers(1, 9), st.integers(1, 99))
def test_first_chunks_cover_every_row_once(rows: dict[str, int], size: int, limit: int) -> None:
    chunks = list(first_chunks(list(rows.items()), size, limit))
    assert covered(chunks) == [(file, row) for file, count in rows.items() for row in range(count)][:limit]
    assert all(0 < len(chunk) <= size for chunk in chunks)


@given(rows_of_files, st.integers(1, 9), st.integers(1, 99))
def test_drawn_chunks_take_as_many_rows_in_their_order(rows: dict[str, int], size: int, limit: int) -> None:
    sizes = list(rows.items())
    chunks = list(drawn_chunks(sizes, size, limit))
    every = [(file, row) for file, count in sizes for row in range(count)]
    drawn = covered(chunks)
    assert len(drawn) == min(limit, len(every))
    assert drawn == [place for place in every if place in set(drawn)]
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert all(0 < len(chunk) <= size for chunk in chunks)
    assert all(chunk.start <= row < chunk.stop for chunk in chunks for row in chunk.rows)


def test_drawn_rows_come_from_everywhere() -> None:
    rows = [row for chunk in drawn_chunks([("a", 1000)], 64, 200) for row in chunk.rows]
    for part in range(4):
        assert 25 < sum(250 * part <= row < 250 * (part + 1) for row in rows) < 75
