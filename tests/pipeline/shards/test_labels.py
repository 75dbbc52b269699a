from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.shards.labels import ClassColumn, TargetColumn
from schemas.errors import SampleError

NAN = np.nan
targets = st.integers(1, 3).flatmap(
    lambda width: hnp.arrays(
        np.float32, st.tuples(st.integers(0, 5), st.just(width)), elements=st.floats(width=32, allow_infinity=False)
    )
)


@given(targets)
def test_targets_come_back_exactly(labels):
    column = TargetColumn(labels.shape[1])
    encoded = column.encode(labels)
    assert encoded.type == column.arrow_type
    for found in (column.decode(encoded), column.decode(column.from_members(column.to_members(encoded)))):
        assert found.dtype == np.float32 and np.array_equal(found, labels, equal_nan=True)


def test_known_numbers_are_kept_where_others_are_missing():
    labels = np.array([[1, NAN], [NAN, NAN], [NAN, 4], [5, 6]], np.float32)
    column = TargetColumn(2).encode(labels)
    assert column.to_pylist() == [[1, None], None, [None, 4], [5, 6]]
    assert np.array_equal(TargetColumn(2).decode(column.slice(1, 2)), labels[1:3], equal_nan=True)


def test_targets_of_another_width_are_refused():
    with pytest.raises(SampleError, match="row 2: its label is not 2 numbers"):
        TargetColumn(2).decode(pa.array([[1, 2], None, [1, 2, 3], [1]], pa.list_(pa.float32())))


@given(hnp.arrays(np.int64, st.integers(0, 6), elements=st.integers(-1, 2**31)))
def test_classes_come_back_exactly(labels):
    column = ClassColumn(2)
    encoded = column.encode(labels)
    assert encoded.to_pylist() == [None if label < 0 else label for label in labels.tolist()]
    for found in (column.decode(encoded), column.decode(column.from_members(column.to_members(encoded)))):
        assert found.dtype == np.int64 and np.array_equal(found, labels) and found.flags.writeable


def test_names_are_a_feature_of_the_column():
    assert ClassColumn(2, ["a", "b"]).feature == {"_type": "ClassLabel", "names": ["a", "b"]}
    assert ClassColumn(2).feature is None
