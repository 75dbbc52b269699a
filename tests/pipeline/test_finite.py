"""Figures through JSON: any program reads them, and what is no number comes back as none."""

from __future__ import annotations

import json
import math

import pytest

from pipeline.finite import pack_figures, unpack_figures


def test_figures_come_back_and_any_json_reader_takes_them() -> None:
    packed = pack_figures({"accuracy": 0.5, "gap": math.inf, "nll": math.nan, "correct": 3})

    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is no JSON")

    assert json.loads(packed, parse_constant=refuse) == {"accuracy": 0.5, "gap": None, "nll": None, "correct": 3}
    found = unpack_figures(packed)
    assert math.isnan(found.pop("gap")) and math.isnan(found.pop("nll"))
    assert found == {"accuracy": 0.5, "correct": 3.0}


@pytest.mark.parametrize("data", [b"", b"[]", b"3", b'{"a": "b"}', b'{"a": {}}', b"\xff"])
def test_what_are_no_figures(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"takes a name|Expecting value|can't decode"):
        unpack_figures(data)
