"""Licences in the front matter: only what the hub takes, and never a guess."""

from __future__ import annotations

import pytest

from pipeline.card.licenses import front_matter


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (None, {"license": "unknown"}),
        ("MIT", {"license": "mit"}),
        ("cc-by-sa-4.0", {"license": "cc-by-sa-4.0"}),
        ("Ask Ann: research only!", {"license": "other", "license_name": "ask-ann-research-only"}),
        ("未知", {"license": "other", "license_name": "other"}),
    ],
)
def test_front_matter(said: str | None, written: dict[str, str]) -> None:
    assert front_matter(said) == written
