"""Shifts as few bytes: what comes back is close, is found again exactly, and is never wrong in silence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.kinds.deltas import DeltaCodec
from schemas.registry import DELTAS

LARGEST = {"fp16": 65504.0, "int8": 127 * 65504.0}
"""Of a value that each can store."""

shapes = st.tuples(st.integers(0, 4), st.integers(1, 5))
# Magnitudes first, as drawn floats are seldom where fp16 has few bits.
deltas = st.tuples(shapes, st.integers(-30, 22)).flatmap(
    lambda given: hnp.arrays(np.float32, given[0], elements=st.floats(-(2.0 ** given[1]), 2.0 ** given[1], width=32))
)
anything = shapes.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(width=32)))


def numbers(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


@pytest.fixture(params=DELTAS.names)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def codec(name: str) -> DeltaCodec:
    built: DeltaCodec = DELTAS.build(name)
    return built


@pytest.mark.parametrize("name", DELTAS.names)
@given(delta=anything)
def test_packed_arrays_are_those_of_the_fields(name: str, delta: np.ndarray) -> None:
    codec: DeltaCodec = DELTAS.build(name)
    packed = codec.pack(delta)
    assert list(packed) == [field.name for field in codec.fields]
    for field in codec.fields:
        assert packed[field.name].dtype == field.dtype
        assert packed[field.name].shape == (delta.shape if field.wide else delta.shape[:1])
    back = codec.unpack(packed)
    assert back.dtype == np.float32 and back.shape == delta.shape


@pytest.mark.parametrize("name", DELTAS.names)
@given(delta=deltas)
@example(delta=numbers([127 * 1.5 * 2.0**-24, 0]))
@example(delta=numbers([2.0**-25, 0], [2.0**-24, -(2.0**-24)]))
def test_what_is_read_packs_to_the_same_arrays(name: str, delta: np.ndarray) -> None:
    codec: DeltaCodec = DELTAS.build(name)
    packed = codec.pack(delta)
    again = codec.pack(codec.unpack(packed))
    assert all(again[field.name].tobytes() == packed[field.name].tobytes() for field in codec.fields)


@given(delta=deltas)
def test_fp16_keeps_eleven_bits(delta: np.ndarray) -> None:
    codec: DeltaCodec = DELTAS.build("fp16")
    delta = np.clip(delta, -LARGEST["fp16"], LARGEST["fp16"])
    error = np.abs(codec.unpack(codec.pack(delta)) - delta)
    assert (error <= np.maximum(2.0**-11 * np.abs(delta), 2.0**-25)).all()


@given(delta=deltas)
@example(delta=numbers([1.1e-3, -1.1e-3, 1e-5]))  # 127 of the nearest levels in fp16 do not reach these
@example(delta=numbers([127 * 1.49 * 2.0**-24, 0]))
def test_int8_is_half_a_level_off_at_most(delta: np.ndarray) -> None:
    codec: DeltaCodec = DELTAS.build("int8")
    delta = np.clip(delta, -LARGEST["int8"], LARGEST["int8"])
    packed = codec.pack(delta)
    level = packed["scale"].astype(np.float64)[:, None]
    error = np.abs(codec.unpack(packed).astype(np.float64) - delta)
    assert (error <= np.maximum(0.5001 * level, 2.0**-25)).all()
    # Half a level is no promise if levels may be wide.
    largest = np.abs(delta).max(axis=1, initial=0)[:, None]
    assert (level <= np.maximum(np.where(largest / 127 < 2.0**-14, 2, 1.001) * largest / 127, 2.0**-24)).all()


def test_zeros_are_exact(codec: DeltaCodec) -> None:
    assert (codec.unpack(codec.pack(np.zeros((3, 4), np.float32))) == 0).all()


def test_no_tokens(codec: DeltaCodec) -> None:
    assert codec.unpack(codec.pack(np.zeros((0, 4), np.float32))).shape == (0, 4)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_value_comes_back(name: str, codec: DeltaCodec, sign: int) -> None:
    assert codec.unpack(codec.pack(numbers([0, sign * LARGEST[name]]))).tolist() == [[0, sign * LARGEST[name]]]


@pytest.mark.parametrize("value", [1.01, 1e20, -1.01, np.inf, -np.inf, np.nan])
@pytest.mark.filterwarnings("error")
def test_what_cannot_be_stored_comes_back_as_not_finite(name: str, codec: DeltaCodec, value: float) -> None:
    back = codec.unpack(codec.pack(numbers([1, 2], [1, value * LARGEST[name]])))
    # Of the tokens beside it, nothing is lost.
    assert np.isfinite(back[0]).all() and not np.isfinite(back[1, 1])


@pytest.mark.parametrize("value", [2.0**-24, 3e-6, 1e-3, 0.5, 40.0])
def test_a_token_does_not_suffer_from_a_larger_one(codec: DeltaCodec, value: float) -> None:
    back = codec.unpack(codec.pack(numbers([value, 0], [60000, 0])))
    assert back[0, 0] == pytest.approx(value, rel=0.01)
