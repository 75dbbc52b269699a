from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.npy import from_npy, from_npys, to_npy, to_npys

dtypes = st.sampled_from(["<f2", "<f4", "<i8", "|u1"])
arrays = st.tuples(dtypes, hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)).flatmap(
    lambda pair: hnp.arrays(pair[0], pair[1], elements={"allow_nan": False} if "f" in pair[0] else None)
)


def saved(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    return sink.getvalue()


@given(arrays)
def test_the_bytes_are_those_of_numpy(array):
    assert to_npy(array) == saved(array)
    assert to_npys(array) == [saved(row) for row in array]
    assert np.array_equal(from_npy(saved(array)), array)
    assert np.array_equal(from_npys(to_npys(array), array.dtype, array.shape[1:]), array)


def test_fortran_order_is_undone():
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert np.array_equal(from_npy(saved(array)), array)


def test_files_with_another_header_for_the_same_array_are_read():
    array = np.arange(3, dtype="<f4")
    sink = io.BytesIO()
    np.lib.format.write_array(sink, array, version=(2, 0))
    assert np.array_equal(from_npys([to_npy(array), sink.getvalue()], "<f4", (3,)), [array, array])


@pytest.mark.parametrize("other", [np.zeros(3, "<f8"), np.zeros(4, "<f4"), np.zeros((3, 1), "<f4"), np.zeros(3, "<i4")])
def test_many_must_be_alike(other):
    with pytest.raises(ValueError, match=r"must be float32 \(3,\)"):
        from_npys([to_npy(np.zeros(3, "<f4")), to_npy(other)], "<f4", (3,))


def test_none_are_none():
    assert from_npys([], "<f4", (3, 2)).shape == (0, 3, 2)
    assert to_npys(np.zeros((0, 3))) == []
