"""Whoever follows a tutorial or a how-to, block by block, in a clone, gets to its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import demo
from tests.docs.blocks import ROOT, RUN, Place, blocks


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    # Few steps: that a page works, not what it reaches.
    monkeypatch.setattr(demo, "EPOCHS", 2)
    monkeypatch.setattr(demo, "STEPS", 40)
    place = Place(tmp_path)
    place.prepare()
    yield place
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_every_block_works(page: Path, place: Place, bucket: None) -> None:
    found = blocks(page)
    assert found
    for block in found:
        place.follow(block)
