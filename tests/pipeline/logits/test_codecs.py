from __future__ import annotations

import pytest
import torch

from schemas.errors import UserError
from schemas.registry import CODECS


@pytest.mark.parametrize("name", CODECS.names)
@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_column_has_its_type_and_decodes_to_what_was_encoded(name, classes, count):
    logits = 5 * torch.randn(count, classes, generator=torch.Generator().manual_seed(0))
    codec = CODECS.build(name)
    column = codec.encode(logits)
    assert column.type == codec.column_type(classes) and len(column) == count
    tolerance = 2**-11 if name == "fp16" else 0
    assert torch.allclose(codec.decode(column), logits, rtol=tolerance, atol=0 if name == "fp32" else 1e-6)


@pytest.mark.parametrize("name", CODECS.names)
def test_decoding_a_slice_gives_the_slice(name):
    logits = torch.arange(12.0).reshape(6, 2)
    codec = CODECS.build(name)
    assert torch.equal(codec.decode(codec.encode(logits).slice(2, 3)), logits[2:5])


def test_fp16_refuses_what_it_cannot_hold():
    with pytest.raises(UserError, match=r'reach 70000.*cache.codec = "fp32"'):
        CODECS.build("fp16").encode(torch.tensor([[7e4]]))
