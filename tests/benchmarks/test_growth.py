"""What benchmarks/growth.py makes of its measurements."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
SIZES = (10, 100, 1000)


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return import_module("growth")


def costs(growth: Any, seconds: float, power: float, bytes_: float) -> dict[int, Any]:
    """Of a stage that takes 5 s and 300 MiB to begin; the middle one of three measurements is right."""

    def cost(size: int, error: float) -> Any:
        time = (5 + seconds * size**power) * error
        return growth.Cost(2 * time, time, 300 + bytes_ * size / 2**20)

    return {size: [cost(size, error) for error in (1.5, 1.0, 0.5)] for size in SIZES}


@pytest.mark.parametrize(("power", "ratio"), [(1, 1.0), (2, 10.0)])
def test_what_a_process_takes_to_start_does_not_count(growth: Any, power: float, ratio: float) -> None:
    found = costs(growth, 0.01, power, 0)
    assert growth.time_growth(found) == pytest.approx(ratio)
    assert growth.time_growth({size: found[size] for size in SIZES[:2]}) is None


def test_what_grows_is_named(growth: Any) -> None:
    found = {
        "even": costs(growth, 0.01, 1, 0),
        "slow": costs(growth, 0.001, 1.1, 0),
        "large": costs(growth, 0.01, 1, 2**17),
    }
    time, memory = growth.beyond(found)
    assert time.startswith("slow: an added sample takes 1.26 times")
    assert memory.startswith("large: 1.36 times the memory")
    found = growth.from_json(growth.to_json(found))
    (_, *rows) = growth.memory_rows(found)
    assert [row[-1] for row in rows] == ["0", "0", "131072"]
    (_, even, *_) = growth.time_rows(found)
    assert even == ["even", "5.1 s", "6.0 s", "15.0 s", "10000 µs", "10000 µs", "1.00", "30 s"]


def test_the_peak_of_a_command_is_its_own(growth: Any) -> None:
    """And not that of the large process which started it."""
    held = bytearray(2**29)
    held[::4096] = b"x" * len(held[::4096])
    cost = growth.cost_of(["--version"])
    assert cost.processor > 0 and cost.seconds > 0
    assert 5 < cost.peak_mib < 400


def test_images_come_again_under_other_keys(growth: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images: Any = import_module("images")
    monkeypatch.setattr(images, "DISTINCT", 4)
    images.write_source(tmp_path / "source", 10, 6)
    tables = [pq.read_table(file)["image"].to_pylist() for file in sorted((tmp_path / "source").iterdir())]
    assert [len(table) for table in tables] == [6, 4]
    together = [image["bytes"] for table in tables for image in table]
    assert together == (together[:4] * 3)[:10] and len(set(together)) == 4
