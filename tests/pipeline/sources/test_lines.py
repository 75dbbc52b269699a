"""Rows are found where the csv module and str.split find them, however the file is cut into blocks."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources import lines


def rows(data: bytes, quoted: bool) -> list[bytes]:
    return [data[start:stop] for start, stop in lines.row_spans(io.BytesIO(data), quoted).tolist()]


@pytest.mark.parametrize(
    ("data", "quoted", "expected"),
    [
        (b"", False, []),
        (b"a", False, [b"a"]),
        (b"a\nb\n", False, [b"a\n", b"b\n"]),
        (b"\n\na\r\n\r\nb", False, [b"a\r\n", b"b"]),
        (b'"a\nb",1\nc,2\n', True, [b'"a\nb",1\n', b"c,2\n"]),
        (b'"a\nb"\n', False, [b'"a\n', b'b"\n']),
        (b'"say ""hi\n""",1\nx,2', True, [b'"say ""hi\n""",1\n', b"x,2"]),
    ],
)
def test_rows(data: bytes, quoted: bool, expected: list[bytes]) -> None:
    assert rows(data, quoted) == expected


@given(st.lists(st.lists(st.text('ab",\n ', max_size=4), min_size=2, max_size=2), max_size=8), st.integers(1, 9))
def test_csv_rows_whatever_the_block(table: list[list[str]], block: int) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    before, lines._BLOCK = lines._BLOCK, block
    try:
        found = rows(text.getvalue().encode(), quoted=True)
    finally:
        lines._BLOCK = before
    assert [next(csv.reader(io.StringIO(row.decode(), newline=""))) for row in found] == table
