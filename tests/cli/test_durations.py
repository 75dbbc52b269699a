"""How long something takes, for people."""

from __future__ import annotations

import pytest

from cli.durations import duration, rough_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3600 * 3 + 125, "3 h 02 min"),
        (3600 * 1234, "1,234 h 00 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (89.0, "89.0 s"), (90, "1.5 min"), (5000, "83.3 min"), (36e5, "1,000.0 h")]
)
def test_rough_durations(seconds: float, text: str) -> None:
    assert rough_duration(seconds) == text
