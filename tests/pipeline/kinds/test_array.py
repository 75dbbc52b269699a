"""Vectors survive storage unchanged, and nothing but finite numbers gets in."""

from __future__ import annotations

import contextlib
import io
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.kinds.array import ArrayKind
from schemas.errors import SampleError

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def npy(values: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    np.save(sink, values, **options)
    return sink.getvalue()


@given(hnp.arrays(np.float32, st.integers(1, 20), elements=finite))
def test_storing_changes_nothing(stored: np.ndarray) -> None:
    kind = ArrayKind()
    decoded = kind.decode(npy(stored))
    assert decoded.dtype == np.float32
    assert np.array_equal(decoded, stored)
    assert np.array_equal(kind.to_stored(kind.to_inputs(stored[None])), stored[None])


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (3, [3.0]),
        (2.5, [2.5]),
        ([1, 2, 3], [1.0, 2.0, 3.0]),
        (np.arange(3, dtype=">f8"), [0.0, 1.0, 2.0]),
        (np.float64(4), [4.0]),
        ([True, False], [1.0, 0.0]),
        (npy(np.arange(3)), [0.0, 1.0, 2.0]),
        (npy(np.float16(7)), [7.0]),
    ],
)
def test_numbers_become_vectors(payload: Any, expected: list[float]) -> None:
    decoded = ArrayKind().decode(payload)
    assert decoded.dtype == np.float32
    assert decoded.tolist() == expected


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ([1.0, float("nan")], "finite"),
        ([1.0, None], "finite"),
        ([1e300], "finite"),
        (np.zeros((2, 2)), "shape"),
        ([], "shape"),
        ([1, [2]], "not a vector"),
        ("12", "not a vector"),
        (["a"], "not a vector"),
        ([1j], "not a vector"),
        (None, "finite|not a vector"),
        (b"", "broken .npy"),
        (b"\x93NUMPY\x01\x00", "broken .npy"),
        (pickle.dumps([1.0]), "broken .npy"),
        (npy(np.array([{}], object), allow_pickle=True), "pickle"),
        (npy(np.arange(4.0))[:-1], "header promises"),
        (npy(np.arange(4.0)) + b"x", "header promises"),
        (npy(np.arange(4.0)).replace(b"(4,)", b"(9,)"), "header promises"),
        (npy(np.zeros((2, 2))), "shape"),
        (SampleError("gone"), "gone"),
    ],
)
def test_anything_else_is_refused(payload: Any, reason: str) -> None:
    with pytest.raises(SampleError, match=reason):
        ArrayKind().decode(payload)


@pytest.mark.filterwarnings("ignore")
@given(st.binary(max_size=40), st.integers(0, 100))
def test_damaged_npy_never_escapes_as_another_error(noise: bytes, position: int) -> None:
    data = npy(np.arange(3.0))
    with contextlib.suppress(SampleError):
        ArrayKind().decode(data[:position] + noise + data[position + len(noise) :])


def test_inputs_and_stored_do_not_share_memory() -> None:
    stored = np.ones((2, 3), np.float32)
    inputs = ArrayKind().to_inputs(stored)
    inputs += 1
    back = ArrayKind().to_stored(inputs)
    inputs += 1
    assert stored.tolist() == [[1.0] * 3] * 2
    assert back.tolist() == [[2.0] * 3] * 2
    assert ArrayKind().to_inputs(torch.ones(2, 3)).dtype == torch.float32


def test_a_row_that_is_not_finite_is_named() -> None:
    column = pa.array([[1.0, 2.0], [1.0, None], [float("inf"), 0.0]], pa.list_(pa.float32(), 2))
    with pytest.raises(SampleError, match="row 1: holds"):
        ArrayKind().from_columns(pa.record_batch({"tensor": column}), (2,))


@pytest.mark.parametrize("file", [npy(np.zeros(3)), npy(np.zeros(4, np.float32)), b"no", pickle.dumps([1.0])])
def test_another_file_in_a_tar_is_refused(file: bytes) -> None:
    good = npy(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"must be float32 \(3,\)|magic"):
        ArrayKind().from_members(["a", "b"], {"input.npy": [good, file]}, (3,))


def test_every_row_that_is_not_finite_is_a_problem() -> None:
    rows = [[1.0, 2.0], None, [1.0, None], [float("inf"), 0.0]]
    column = pa.array(rows, pa.list_(pa.float32(), 2))
    batch = pa.record_batch({"tensor": column})
    assert [row for row, _ in ArrayKind().problems(batch, (2,))] == [2, 3]
    assert list(ArrayKind().problems(batch.slice(0, 1), (2,))) == []
