from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
import torch

from schemas.errors import RowError, UserError
from schemas.registry import CODECS

DENSE = ("fp16", "fp32")


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_column_has_its_type_and_decodes_to_what_was_encoded(name, classes, count):
    logits = 5 * torch.randn(count, classes, generator=torch.Generator().manual_seed(0))
    codec = CODECS.build(name)
    column = codec.encode(logits)
    assert column.type == codec.column_type(classes) and len(column) == count
    tolerance = 2**-11 if name == "fp16" else 0
    assert torch.allclose(codec.decode(column), logits, rtol=tolerance, atol=0 if name == "fp32" else 1e-6)


@pytest.mark.parametrize("name", DENSE)
def test_decoding_a_slice_gives_the_slice(name):
    logits = torch.arange(12.0).reshape(6, 2)
    codec = CODECS.build(name)
    assert torch.equal(codec.decode(codec.encode(logits).slice(2, 3)), logits[2:5])


def test_fp16_refuses_what_it_cannot_hold():
    with pytest.raises(UserError, match=r'reach 70000.*cache.codec = "fp32"'):
        CODECS.build("fp16").encode(torch.tensor([[7e4]]))


@pytest.mark.parametrize("name", DENSE)
def test_non_finite_rows_are_refused(name):
    with pytest.raises(UserError, match="not all finite"):
        CODECS.build(name).encode(torch.tensor([[0.0], [float("nan")]]))


@pytest.mark.parametrize(("name", "large"), [("fp16", False), ("fp32", True)])
def test_which_rows_are_representable(name, large):
    logits = torch.tensor(
        [[0, 1], [65504, -65504], [0, 65505], [-7e4, 0], [torch.nan, 0], [0, torch.inf], [-torch.inf, 0]]
    )
    codec = CODECS.build(name)
    good = codec.representable(logits)
    assert good.tolist() == [True, True, large, large, False, False, False]
    assert torch.equal(codec.decode(codec.encode(logits[good])), logits[good])


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_files_hold_the_very_numbers_of_the_column(name, count):
    codec = CODECS.build(name)
    column = codec.encode(torch.randn(count + 2, 3, generator=torch.Generator().manual_seed(0))).slice(1, count)
    members = codec.to_members(column)
    assert tuple(members) == codec.extensions == ("teacher.npy",)
    arrays = [np.load(io.BytesIO(file), allow_pickle=False) for file in members["teacher.npy"]]
    assert all(array.dtype == codec.dtype and array.shape == (3,) for array in arrays)
    assert [array.tolist() for array in arrays] == column.to_pylist()
    assert codec.from_members(members, 3).equals(column)


@pytest.mark.parametrize(("name", "other"), [("fp16", "fp32"), ("fp32", "fp16")])
def test_files_of_another_type_or_width_are_refused(name, other):
    codec = CODECS.build(name)
    for stranger in (CODECS.build(other).encode(torch.zeros(2, 3)), codec.encode(torch.zeros(2, 4))):
        owner = CODECS.build(other) if stranger.type != codec.column_type(4) else codec
        with pytest.raises(RowError, match=r"row 0: float\d\d .* must be float\d\d \(3,\)"):
            codec.from_members(owner.to_members(stranger), 3)


@pytest.mark.parametrize("name", DENSE)
def test_which_stored_rows_are_valid(name):
    codec = CODECS.build(name)
    rows = [[0, 1], [np.nan, 0], [0, np.inf], [0, None], [2, 3]]
    values = [[None if number is None else codec.dtype.type(number) for number in row] for row in rows]
    column = pa.array(values, codec.column_type(2))
    assert codec.valid(column).tolist() == [True, False, False, False, True]
    assert codec.valid(column.slice(3, 2)).tolist() == [False, True]


@pytest.mark.parametrize("name", DENSE)
def test_what_was_encoded_deviates_by_what_encoding_rounds_off(name):
    logits = 5 * torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    codec = CODECS.build(name)
    difference, rounding = codec.deviation(codec.encode(logits), logits)
    assert torch.equal(difference, rounding) and difference.shape == (7, 4)
    assert bool(difference.any()) == (name == "fp16")


@pytest.mark.parametrize("name", DENSE)
def test_nothing_explains_a_logit_that_is_not_finite(name):
    codec = CODECS.build(name)
    difference, rounding = codec.deviation(codec.encode(torch.zeros(1, 2)), torch.tensor([[1.0, torch.nan]]))
    assert difference.tolist() == [[1.0, torch.finfo(torch.float32).max]] and rounding.tolist() == [[0.0, 0.0]]
