"""Texts survive storage unchanged, and whatever cannot be stored says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kinds.text import TEXT_BYTES, TextKind
from pipeline.text.sentences import Perturbed, Sentence, Tokens
from schemas.errors import RowError, SampleError
from schemas.registry import DELTAS

texts = st.text(min_size=1, max_size=20).filter(lambda text: bool(text.strip()))  # any Unicode but surrogates
LONGEST = "ä" * (TEXT_BYTES // 2)


def batch(columns: dict[str, Any]) -> pa.RecordBatch:
    return pa.record_batch({"key": [f"k{i}" for i in range(len(next(iter(columns.values()))))], **columns})


def strings(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


@pytest.mark.parametrize("payload", ["a", " a\n", "a\0b", "\ufeffa", "\u200b", "🙂\r\n", LONGEST, "a" * TEXT_BYTES])
def test_texts_are_taken_as_they_are(payload: str) -> None:
    kind = TextKind()
    for given_ in (payload, (payload,)):
        sentence = kind.decode(given_)
        assert sentence.texts == (payload,) and sentence.perturbed is None and kind.shape_of(sentence) == (1,)
    pair = kind.decode((payload, "b"))
    assert pair.texts == (payload, "b") and kind.shape_of(pair) == (2,)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "no text in this row"),
        (3, "not a text but int"),
        (float("nan"), "not a text but float"),
        (b"bytes", "not a text but bytes"),
        (["a"], "not a text but list"),
        (np.str_, "not a text but type"),
        ("", "empty text"),
        (" \t\r\n\u00a0\u2003", "empty text"),
        ("a\ud800", "not valid Unicode"),
        ("\udfff" * TEXT_BYTES, "not valid Unicode"),
        (LONGEST + "a", "32,769 bytes of text, the limit is 32,768; cut it"),
        (SampleError("no such file: x.txt"), "no such file: x.txt"),
        (("a", None), "no text in this row"),
        (("a", ""), "empty text"),
        (("", "a"), "empty text"),
        (("a", 3), "not a text but int"),
        (("a", "a" * (TEXT_BYTES + 1)), "32,769 bytes"),
    ],
)
def test_what_cannot_be_stored_says_so(payload: Any, reason: str) -> None:
    with pytest.raises(SampleError, match=reason) as caught:
        TextKind().decode(payload)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("shape", [(1,), (2,)])
@given(data=st.data())
def test_storing_changes_nothing(shape: tuple[int, ...], data: st.DataObject) -> None:
    kind = TextKind()
    given_ = data.draw(st.lists(st.tuples(*[texts] * shape[0]), min_size=1, max_size=4))
    stored = kind.stack([kind.decode(payload) for payload in given_])
    keys = [f"k{i}" for i in range(len(given_))]
    columns = kind.to_columns(keys, stored, shape)
    assert {name: column.type for name, column in columns.items()} == kind.arrow_types(shape)
    members = kind.to_members(batch(columns))
    assert tuple(members) == kind.extensions(shape)
    for found in (columns, kind.from_members(keys, members, shape)):
        assert list(kind.problems(batch(found), shape)) == []
        assert [sentence.texts for sentence in kind.from_columns(batch(found), shape)] == given_


def test_files_are_the_texts_in_utf8() -> None:
    stored = TextKind().stack([Sentence(("ä\n", "b")), Sentence(("c", "🙂"))])
    columns = TextKind().to_columns(["x", "y"], stored, (2,))
    members = {"txt": ["ä\n".encode(), b"c"], "pair.txt": [b"b", "🙂".encode()]}
    assert TextKind().to_members(batch(columns)) == members


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"text": strings("a", "", "c")}, [(1, "its text is empty")]),
        ({"text": strings("a", "b" * (TEXT_BYTES + 1))}, [(1, "32,769 bytes of text, the limit is 32,768")]),
        ({"text": strings(LONGEST)}, []),
        # Rows without a text are known already.
        ({"text": strings("a", None)}, []),
        ({"text": strings("a", "b"), "text_pair": strings("a", "")}, [(1, "its text_pair is empty")]),
        ({"text": strings("a", "b"), "text_pair": strings(None, "b")}, [(0, "has no text_pair")]),
        (
            {"text": strings("", "b"), "text_pair": strings("a", LONGEST + "ä")},
            [(0, "its text is empty"), (1, "32,770 bytes of text_pair, the limit is 32,768")],
        ),
    ],
)
def test_wrong_rows_are_named(columns: dict[str, pa.Array], found: list[tuple[int, str]]) -> None:
    shape = (len(columns),)
    assert list(TextKind().problems(batch(columns), shape)) == found
    if found:
        with pytest.raises(RowError) as caught:
            TextKind().from_columns(batch(columns), shape)
        assert (caught.value.row, caught.value.reason) == found[0]


def test_a_file_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(RowError, match="row 1: its text is not UTF-8"):
        TextKind().from_members(["a", "b"], {"txt": [b"a", b"\xff\xfe"]}, (1,))


@pytest.mark.parametrize(
    ("delta", "shape", "fits"),
    [
        (None, (1,), True),
        (None, (2,), True),
        (None, (3,), False),
        (None, (1, 48, 384), False),
        ("fp16", (1, 48, 384), True),
        ("fp16", (2, 1, 1), True),
        ("fp16", (3, 48, 384), False),
        ("int8", (1,), False),
        ("int8", (1, 48), False),
    ],
)
def test_shapes_that_text_has(delta: str | None, shape: tuple[int, ...], fits: bool) -> None:
    assert TextKind(delta and DELTAS.build(delta)).fits(shape) is fits


def test_what_a_sample_takes_at_most() -> None:
    plain, perturbed = TextKind(), TextKind(DELTAS.build("int8"))
    assert (plain.bytes_per_sample((2,)), plain.values_per_sample((2,))) == (2 * TEXT_BYTES, 1)
    # float32 in memory, whatever it is in the file; int32 ids and int8 segments beside.
    assert perturbed.bytes_per_sample((1, 48, 384)) >= TEXT_BYTES + 48 * (4 * 384 + 5)
    assert perturbed.values_per_sample((1, 48, 384)) == 48 * 384


def test_inputs_are_the_sentences() -> None:
    stored = TextKind().stack([Sentence(("a",)), Sentence(("bc",))])
    inputs = TextKind().to_inputs(stored)
    assert list(inputs) == list(stored) and len(inputs) == 2 and inputs.to(torch.device("cpu")) is inputs


def test_lengths_sort_perturbed_samples_among_plain_ones() -> None:
    tokens = Tokens(np.arange(6, dtype=np.int32), np.zeros(6, np.int8))
    shifted = Sentence(("",), Perturbed(tokens, np.zeros((6, 2), np.float32)))
    lengths = TextKind().lengths(TextKind().stack([Sentence(("a word",)), shifted, Sentence(("a word " * 20,))]))
    assert lengths.dtype == np.int64 and lengths.tolist() == sorted(lengths) and len(set(lengths.tolist())) == 3


@pytest.mark.parametrize("shape", [(1,), (2,), (2, 48, 384)])
def test_a_blank_sample_is_plain_text(shape: tuple[int, ...]) -> None:
    (sentence,) = TextKind(DELTAS.build("fp16")).blank(shape)
    assert len(sentence.texts) == shape[0] and all(sentence.texts) and sentence.perturbed is None
