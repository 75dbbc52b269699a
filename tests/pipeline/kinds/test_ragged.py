"""Arrays of different lengths as lists and as files."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kinds.deltas import Field
from pipeline.kinds.ragged import (
    from_lists,
    from_npy_rows,
    is_blank,
    rows_with_null,
    to_lists,
    to_npy_rows,
    value_type,
)
from pipeline.npy import from_npy
from schemas.errors import RowError

NARROW = Field("ids", np.dtype(np.int32), pa.int32(), wide=False)
WIDE = Field("delta", np.dtype(np.float16), pa.float16(), wide=True)
WIDTH = 3

lengths = st.lists(st.none() | st.integers(0, 4), max_size=6)


def rows(lengths: list[int | None], field: Field) -> list[np.ndarray | None]:
    """Arrays of these lengths, with values that all differ; None for None."""
    numbers = iter(range(10**6))
    form = (WIDTH,) if field.wide else ()
    return [
        None
        if length is None
        else np.array([next(numbers) for _ in range(int(np.prod((length, *form))))], field.dtype).reshape(length, *form)
        for length in lengths
    ]


def saved(array: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, **options)
    return sink.getvalue()


@pytest.mark.parametrize("field", [NARROW, WIDE], ids=["narrow", "wide"])
@given(lengths=lengths, start=st.integers(0, 6), count=st.integers(0, 6))
def test_lists_come_back(field: Field, lengths: list[int | None], start: int, count: int) -> None:
    given_ = rows(lengths, field)
    column = to_lists(given_, field, WIDTH)
    assert column.type == pa.list_(value_type(field, WIDTH)) and len(column) == len(given_)
    column.validate(full=True)
    # A batch may be a slice of a longer column.
    column, given_ = column.slice(start, count), given_[start : start + count]
    assert [value is None for value in column.to_pylist()] == [array is None for array in given_]
    for found, array in zip(from_lists(column, field), given_, strict=True):
        expected = np.empty((0, WIDTH) if field.wide else 0, field.dtype) if array is None else array
        assert found.dtype == field.dtype and np.array_equal(found, expected) and found.shape == expected.shape


def test_what_lies_under_a_null_is_not_read() -> None:
    values = pa.array([1, 2, 3, 4], pa.int32())
    column = pa.ListArray.from_arrays(pa.array([0, 2, 4], pa.int32()), values, mask=pa.array([True, False]))
    assert [array.tolist() for array in from_lists(column, NARROW)] == [[], [3, 4]]


@pytest.mark.parametrize(
    ("field", "lists", "bad"),
    [
        (NARROW, [[1], None, [], [2, None], [None]], [3, 4]),
        (NARROW, [[1, 2], None], []),
        (NARROW, [], []),
        (WIDE, [[[1, 2, 3]], None, [[1, 2, 3], None], [[1, None, 3], [1, 2, 3]], []], [2, 3]),
        (WIDE, [[[1, 2, 3]], [], None], []),
        (WIDE, [None, None], []),
    ],
)
def test_rows_with_a_null_among_their_values(field: Field, lists: list[Any], bad: list[int]) -> None:
    column = pa.array(lists, pa.list_(value_type(field, WIDTH)))
    assert rows_with_null(column, field) == bad
    assert rows_with_null(pa.concat_arrays([column, column]).slice(len(lists)), field) == bad


@pytest.mark.parametrize("field", [NARROW, WIDE], ids=["narrow", "wide"])
def test_files_come_back(field: Field) -> None:
    arrays = [array for array in rows([2, 0, 4, 1], field) if array is not None]
    form = (None, WIDTH) if field.wide else (None,)
    files = to_npy_rows(arrays)
    assert [np.load(io.BytesIO(file), allow_pickle=False).dtype for file in files] == [field.dtype] * 4
    found = from_npy_rows(files, field.dtype, form)
    assert [is_blank(array, field) for array in found] == [False, True, False, False]
    for number in (0, 2, 3):
        assert np.array_equal(found[number], arrays[number])


def test_a_table_without_rows_is_a_row_of_zeros_in_a_file() -> None:
    (file,) = to_npy_rows([np.empty((0, WIDTH), np.float16)])
    assert from_npy(file).tolist() == [[0.0] * WIDTH] and from_npy(file).dtype == np.float16


@pytest.mark.parametrize("array", [np.ones((1, 2)), np.zeros((2, 2)), np.zeros((0, 2)), np.array([[0, np.nan]])])
def test_other_tables_are_not_blank(array: np.ndarray) -> None:
    assert not is_blank(array.astype(np.float16), WIDE)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (saved(np.zeros((3, 2), np.int32)), r"int32 \(3, 2\), must be int32 \(2, n\)"),
        (saved(np.zeros(2, np.int32)), r"int32 \(2,\), must be"),
        (saved(np.zeros((2, 1, 1), np.int32)), "must be"),
        (saved(np.zeros((2, 3), np.int64)), r"int64 \(2, 3\), must be"),
        (saved(np.zeros((2, 3), ">i4")), r">i4 \(2, 3\), must be"),
        (saved(np.zeros((2, 3), "i4,i4")), "must be"),
        (saved(np.array([[{}], [{}]], object), allow_pickle=True), "Python objects"),
        (saved(np.zeros((2, 3), np.int32))[:-1], "broken .npy: 23 bytes of values, the header promises 24"),
        (saved(np.zeros((2, 3), np.int32)).replace(b"(2, 3)", b"(2, 9)"), "broken .npy: 24 bytes of values"),
        (pickle.dumps([1]), "broken .npy"),
        (b"", "broken .npy"),
    ],
)
def test_another_file_is_refused_by_its_row(file: bytes, reason: str) -> None:
    good = saved(np.zeros((2, 3), np.int32))
    with pytest.raises(RowError, match=reason) as caught:
        from_npy_rows([good, file, good], np.dtype(np.int32), (2, None))
    assert caught.value.row == 1 and str(caught.value).isprintable()


def test_the_order_of_values_in_a_file_does_not_matter() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    (found,) = from_npy_rows([saved(np.asfortranarray(array))], array.dtype, (2, None))
    assert found.tolist() == array.tolist()
