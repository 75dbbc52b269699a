"""Perturbed text survives storage to the bit, mixed with plain text; whatever is inconsistent is named by its row."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.kinds.deltas import DeltaCodec
from pipeline.kinds.text import TextKind
from pipeline.text.sentences import Perturbed, Sentence, Tokens
from schemas.errors import RowError
from schemas.registry import DELTAS

LONGEST, WIDTH = 6, 3
NAN, INF = float("nan"), float("inf")


def kind(name: str) -> TextKind:
    return TextKind(DELTAS.build(name))


def stored_shift(name: str, delta: np.ndarray) -> np.ndarray:
    codec: DeltaCodec = DELTAS.build(name)
    return codec.unpack(codec.pack(delta.astype(np.float32)))


@st.composite
def sentences(draw: st.DrawFn, name: str, count: int) -> Sentence:
    if draw(st.booleans()):
        return Sentence(tuple(draw(st.text(min_size=1, max_size=8)) for _ in range(count)))
    segments = draw(hnp.arrays(np.int8, st.integers(1, LONGEST), elements=st.integers(-count, count - 1)))
    ids = draw(hnp.arrays(np.int32, len(segments), elements=st.integers(0, 2**31 - 1)))
    shape = (int((segments >= 0).sum()), WIDTH)
    delta = draw(hnp.arrays(np.float32, shape, elements=st.floats(-60000, 60000, width=32)))
    return Sentence(("",) * count, Perturbed(Tokens(ids, segments), stored_shift(name, delta)))


def told(sentence: Sentence) -> Any:
    """All that a sentence holds, to be compared."""
    change = sentence.perturbed
    if change is None:
        return sentence.texts
    arrays = (change.tokens.ids, change.tokens.segments, change.delta)
    return sentence.texts, [(array.dtype, array.shape, array.tobytes()) for array in arrays]


def batch(columns: dict[str, Any]) -> pa.RecordBatch:
    return pa.record_batch({"key": [f"k{i}" for i in range(len(columns["text"]))], **columns})


@pytest.mark.parametrize("name", DELTAS.names)
@pytest.mark.parametrize("count", [1, 2], ids=["texts", "pairs"])
@given(data=st.data())
def test_storing_changes_nothing(name: str, count: int, data: st.DataObject) -> None:
    kind_, shape = kind(name), (count, LONGEST, WIDTH)
    given_ = data.draw(st.lists(sentences(name, count), min_size=1, max_size=4))
    keys = [f"k{i}" for i in range(len(given_))]
    columns = kind_.to_columns(keys, kind_.stack(given_), shape)
    assert {column: array.type for column, array in columns.items()} == kind_.arrow_types(shape)
    members = kind_.to_members(batch(columns))
    assert tuple(members) == kind_.extensions(shape)
    again = kind_.from_members(keys, members, shape)
    assert batch(again).equals(batch(columns))
    for found in (columns, again):
        assert list(kind_.problems(batch(found), shape)) == []
        assert [told(sentence) for sentence in kind_.from_columns(batch(found), shape)] == [*map(told, given_)]


@pytest.mark.parametrize("name", DELTAS.names)
def test_a_batch_may_be_a_slice(name: str) -> None:
    kind_, shape = kind(name), (1, LONGEST, WIDTH)
    shifted = Sentence(("",), Perturbed(tokens([5, 6], [-1, 0]), stored_shift(name, np.ones((1, WIDTH)))))
    given_ = [Sentence(("a",)), shifted, Sentence(("b",)), shifted]
    whole = batch(kind_.to_columns(list("wxyz"), kind_.stack(given_), shape))
    assert [told(s) for s in kind_.from_columns(whole.slice(1, 2), shape)] == [told(s) for s in given_[1:3]]


def tokens(ids: list[int], segments: list[int]) -> Tokens:
    return Tokens(np.array(ids, np.int32), np.array(segments, np.int8))


def load(data: bytes) -> np.ndarray:
    array: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def test_files_of_perturbed_and_plain_text() -> None:
    change = Perturbed(tokens([2, 7, 8, 3], [-1, 0, 0, -1]), np.array([[1, 2, 3], [0, 0, -127]], np.float32))
    stored = TextKind().stack([Sentence(("",), change), Sentence(("a",))])
    for name in DELTAS.names:
        members = kind(name).to_members(batch(kind(name).to_columns(["x", "y"], stored, (1, LONGEST, WIDTH))))
        assert members["txt"] == [b"", b"a"]
        shifted, plain = map(load, members["ids.npy"])
        assert shifted.dtype == np.int32 and shifted.tolist() == [[2, 7, 8, 3], [-1, 0, 0, -1]]
        assert plain.dtype == np.int32 and plain.shape == (2, 0)
        delta, none = map(load, members["delta.npy"])
        if name == "int8":
            scale, no_scale = map(load, members["scale.npy"])
            assert delta.dtype == np.int8 and scale.dtype == no_scale.dtype == np.float16
            assert scale.shape == (2,) and no_scale.shape == (0,)
            delta = delta * scale[:, None].astype(np.float32)
        else:
            assert delta.dtype == np.float16
        assert np.allclose(delta, change.delta, atol=0.02) and none.tolist() == [[0, 0, 0]]


# A perturbed row, then plain text; each case changes some of it.
ROW: dict[str, Any] = {
    "text": "",
    "ids": [2, 7, 8, 3],
    "segments": [-1, 0, 0, -1],
    "delta": [[1, 2, 3], [4, 5, 6]],
    "scale": [0.5, 1.5],
}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a text": ({"text": "a"}, "is perturbed and has a text"),
    "no ids": ({"ids": None}, "has some of ids, segments, delta.*, must have all or none"),
    "no segments": ({"segments": None}, "has some of ids, segments, delta.*, must have all or none"),
    "no delta": ({"delta": None}, "has some of ids, segments, delta.*, must have all or none"),
    "nothing at all": (dict.fromkeys(("ids", "segments", "delta", "scale")), "its text is empty"),
    "no tokens": ({"ids": [], "segments": [], "delta": [], "scale": []}, "0 tokens, must be 1 to 6"),
    "many tokens": ({"ids": [1] * 7, "segments": [0] * 7, "delta": [[0] * 3] * 7}, "7 tokens, must be 1 to 6"),
    "fewer segments": ({"segments": [-1, 0, 0]}, "4 ids and 3 segments"),
    "more segments": ({"segments": [-1, 0, 0, -1, -1]}, "4 ids and 5 segments"),
    "fewer shifts": ({"delta": [[1, 2, 3]]}, "1 rows of delta for 2 tokens"),
    "more shifts": ({"delta": [[1, 2, 3]] * 4}, "4 rows of delta for 2 tokens"),
    "shifts of special tokens": ({"segments": [-1, -1, 0, -1]}, "2 rows of delta for 1 tokens"),
    "id below 0": ({"ids": [2, -7, 8, 3]}, "its ids or segments are none of tokens"),
    "third text": ({"segments": [-1, 0, 2, -1]}, "its ids or segments are none of tokens"),
    "special token of a third text": ({"segments": [-3, 0, 0, -1]}, "its ids or segments are none of tokens"),
    "null id": ({"ids": [2, None, 8, 3]}, "has a null in its ids"),
    "null segment": ({"segments": [-1, 0, None, -1]}, "has a null in its segments"),
    "null value": ({"delta": [[1, 2, 3], [4, None, 6]]}, "has a null in its delta"),
    "null shift": ({"delta": [[1, 2, 3], None]}, "has a null in its delta"),
}
OF_FP16 = {
    "NaN": ({"delta": [[1, 2, 3], [4, NAN, 6]]}, "its perturbation is not finite"),
    "infinity": ({"delta": [[1, 2, 3], [4, -INF, 6]]}, "its perturbation is not finite"),
}
OF_INT8 = {
    "NaN scale": ({"scale": [0.5, NAN]}, "its perturbation is not finite"),
    "infinite scale": ({"scale": [INF, 0.5]}, "its perturbation is not finite"),
    "infinite scale of zeros": ({"scale": [INF, 0.5], "delta": [[0, 0, 0], [1, 1, 1]]}, "is not finite"),
    "no scale": ({"scale": None}, "has some of ids, segments, delta, scale, must have all or none"),
    "fewer scales": ({"scale": [0.5]}, "1 rows of scale for 2 tokens"),
    "null scale": ({"scale": [0.5, None]}, "has a null in its scale"),
}
CASES = [
    pytest.param(name, changes, message, id=f"{name}: {case}")
    for name, own in (("fp16", OF_FP16), ("int8", OF_INT8))
    for case, (changes, message) in {**WRONG, **own}.items()
]


def made(name: str, changes: dict[str, Any]) -> pa.RecordBatch:
    """Plain text, the row with its changes, a good row, and plain text."""
    types = kind(name).arrow_types((1, LONGEST, WIDTH))
    rows = [{"text": "a"}, {**ROW, **changes}, ROW, {"text": "b"}]
    return batch(
        {field: pa.array([_fp16(row.get(field), type_) for row in rows], type_) for field, type_ in types.items()}
    )


def _fp16(value: Any, type_: pa.DataType) -> Any:
    """Arrow takes half floats from numpy only."""
    if isinstance(value, list) and "halffloat" in str(type_):
        return [_fp16(one, type_) for one in value]
    return np.float16(value) if "halffloat" in str(type_) and value is not None else value


@pytest.mark.parametrize("name", DELTAS.names)
def test_the_rows_below_are_right_but_for_what_is_changed(name: str) -> None:
    found = kind(name).from_columns(made(name, {}), (1, LONGEST, WIDTH))
    assert [sentence.perturbed is None for sentence in found] == [True, False, False, True]


@pytest.mark.parametrize(("name", "changes", "message"), CASES)
def test_a_wrong_row_is_named(name: str, changes: dict[str, Any], message: str) -> None:
    rows, shape = made(name, changes), (1, LONGEST, WIDTH)
    found = list(kind(name).problems(rows, shape))
    assert {row for row, _ in found} == {1}
    with pytest.raises(RowError, match=message) as caught:
        kind(name).from_columns(rows, shape)
    assert (caught.value.row, caught.value.reason) == found[0]


def test_all_wrong_rows_are_named() -> None:
    rows = pa.concat_batches([made("fp16", {"ids": [-1, 7, 8, 3]}), made("fp16", {"segments": [0]})])
    assert [row for row, _ in kind("fp16").problems(rows, (1, LONGEST, WIDTH))] == [1, 5]


def test_columns_of_perturbed_text_are_those_of_mined_samples() -> None:
    assert tuple(kind("int8").mined) == ("ids", "segments", "delta", "scale")
    assert tuple(kind("fp16").mined) == ("ids", "segments", "delta") and tuple(TextKind().mined) == ()


def npy(values: Any, dtype: Any) -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.array(values, dtype))
    return sink.getvalue()


IDS, DELTA = npy(np.ones((2, 4)), "i4"), npy(np.ones((4, 3)), "f2")
FILES: dict[str, tuple[dict[str, bytes], str]] = {
    "ids of 64 bits": ({"ids.npy": npy(np.ones((2, 4)), "i8")}, r"int64 \(2, 4\), must be int32 \(2, n\)"),
    "ids without segments": ({"ids.npy": npy(np.ones(4), "i4")}, r"int32 \(4,\), must be int32 \(2, n\)"),
    "segments of 9 bits": ({"ids.npy": npy([[1], [256]], "i4")}, "its segments are none of tokens"),
    "delta of another type": ({"delta.npy": npy(np.ones((4, 3)), "f4")}, r"float32 \(4, 3\), must be float16 \(n, 3\)"),
    "delta of other embeddings": ({"delta.npy": npy(np.ones((4, 2)), "f2")}, r"float16 \(4, 2\), must be"),
    "delta for all tokens at once": ({"delta.npy": npy(np.ones(3), "f2")}, r"float16 \(3,\), must be"),
    "empty file": ({"delta.npy": b""}, "broken .npy"),
    "plain text with shifts": ({"ids.npy": npy(np.ones((2, 0)), "i4"), "txt": b"a"}, "is perturbed and has a text"),
    "plain text with a shift": (
        {"ids.npy": npy(np.ones((2, 0)), "i4"), "delta.npy": npy([[0, 0, 1]], "f2"), "txt": b"a"},
        "is perturbed and has a text",
    ),
    "shifts of zeros for no token": (
        {"ids.npy": npy([[2, 3], [-1, -1]], "i4"), "delta.npy": npy(np.zeros((2, 3)), "f2")},
        "2 rows of delta for 0 tokens",
    ),
}


@pytest.mark.parametrize(("changes", "message"), FILES.values(), ids=FILES)
def test_a_wrong_file_is_named(changes: dict[str, bytes], message: str) -> None:
    good = {"txt": b"", "ids.npy": IDS, "delta.npy": DELTA}
    members = {name: [data, {**good, **changes}[name]] for name, data in good.items()}
    with pytest.raises(RowError, match=message) as caught:
        kind("fp16").from_columns(
            batch(kind("fp16").from_members(["x", "y"], members, (1, LONGEST, 3))), (1, LONGEST, 3)
        )
    assert caught.value.row == 1


def test_a_sentence_of_special_tokens_alone_comes_back() -> None:
    """What a normaliser removes leaves nothing to shift."""
    for name in DELTAS.names:
        kind_, shape = kind(name), (1, LONGEST, WIDTH)
        change = Perturbed(tokens([2, 3], [-1, -1]), np.zeros((0, WIDTH), np.float32))
        columns = kind_.to_columns(["x"], kind_.stack([Sentence(("",), change)]), shape)
        again = kind_.from_members(["x"], kind_.to_members(batch(columns)), shape)
        (found,) = kind_.from_columns(batch(again), shape)
        assert found.perturbed is not None and found.perturbed.delta.shape == (0, WIDTH)
        assert found.perturbed.tokens.ids.tolist() == [2, 3]
