"""The scale model: the simulation against sums by hand, its limits against the code, the page against the results."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.shards.limits import check_samples
from pipeline.shards.parts import group
from schemas import manifest
from schemas.errors import UserError

ROOT = Path(__file__).parents[2]
DEVICE: dict[str, Any] = {
    "forward": {"fp32": 1000.0, "bf16": 2000.0},
    "mine": {"fp32": 50.0, "bf16": 100.0},
    "train": 2000.0,
    "jpeg_decode": 400.0,
    "png_encode": 100.0,
    "png_encode_all_cores": 1600.0,
    "png_decode": 800.0,
    "sha256_bytes": 1e9,
    "jpeg_bytes": 1e5,
    "png_bytes_source": 1e5,
    "png_bytes_mined": 1e5,
    "cores": 16,
    "machine": {"device": "a GPU"},
    "settings": {"steps": 10},
}


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / "scale.json").read_text())
    return found


def alone(busy: int) -> float:
    return 1.0


def one_core(busy: int) -> float:
    return 1.0 / busy


@pytest.mark.parametrize(
    ("units", "workers", "begin", "commit", "speed", "ahead", "seconds"),
    [
        ([2.0] * 4, 1, 3.0, 0.5, alone, 2, 11.5),  # the last commit comes after all work
        ([2.0] * 4, 2, 3.0, 0.5, alone, 2, 8.0),  # two are done at 7, and committed one after the other
        ([0.1] * 10, 2, 0.0, 1.0, alone, 2, 10.1),  # commits take longer than the work
        ([1.0] * 4, 2, 0.0, 0.0, one_core, 2, 4.0),  # two workers that share a core are no faster than one
        ([1.0, 3.0], 2, 0.0, 0.0, one_core, 2, 4.0),  # who is left has the core to himself
        ([1.0] * 2, 8, 1.0, 0.0, one_core, 2, 4.0),  # no more workers begin than there are shards
        ([1.0] * 3, 1, 0.0, 1.0, alone, 1, 6.0),  # one at a time: each waits for the commit of the one before
        ([1.0] * 3, 1, 0.0, 1.0, alone, 2, 4.0),  # with one ahead it does not
    ],
)
def test_the_simulation(
    units: list[float], workers: int, begin: float, commit: float, speed: Any, ahead: int, seconds: float
) -> None:
    from scale.simulate import Crew, simulate

    assert simulate(units, Crew(workers, begin, commit, speed, ahead)) == pytest.approx(seconds)


def test_what_is_not_simulated_is_carried_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from scale import simulate

    crew = simulate.Crew(3, 2.0, 0.4, alone)
    whole = simulate.simulate([1.0] * 3000, crew)
    monkeypatch.setattr(simulate, "AT_MOST", 300)
    assert simulate.simulate([1.0] * 3000, crew) == pytest.approx(whole, rel=0.01)


def test_as_many_files_as_an_artifact_may_have_fit_into_its_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    from scale.pieces import _manifest, manifest_bytes

    assert manifest.MAX_FILES * manifest_bytes() < manifest.MAX_BYTES
    monkeypatch.setattr(manifest, "MAX_BYTES", 2**19)
    files = int(2**19 / manifest_bytes())
    manifest.unpack(manifest.pack(_manifest(files - 10)))
    with pytest.raises(ValueError, match="a manifest has 524288 at most"):
        manifest.unpack(manifest.pack(_manifest(files + 10)))


def test_shards_and_windows_end_where_the_model_says() -> None:
    from scale.plan import MAX_SHARD, SAMPLE, WINDOW

    check_samples(SAMPLE, MAX_SHARD, "shard")
    with pytest.raises(UserError, match=r"data\.shard_size"):
        check_samples(SAMPLE, MAX_SHARD + 1, "shard")
    parts: list[Any] = [SimpleNamespace(samples=1024)] * 4
    assert WINDOW < 1024
    assert [len(together) for together in group(parts, WINDOW, np.random.default_rng(0))] == [1, 1, 1, 1]


def test_the_shards_of_a_prediction_are_those_of_the_stages(tmp_path: Path) -> None:
    from scale.runs import STAGES, config_of, make_source, unit_sizes, watched

    config = config_of(make_source(tmp_path / "source", 1100), tmp_path / "run")
    found = watched(config)
    sizes = {name: unit_sizes(name, config) for name in STAGES}
    assert sizes == {"cache": [1024, 76], "mine": [1024, 76], "export": [2200]}
    assert {name: len(timed.units) for name, timed in found.items()} == {"cache": 2, "mine": 2, "export": 1}
    assert found["mine"].steps == 10
    assert 0 < found["mine"].rest < found["mine"].seconds


def test_a_run_of_any_size_stays_within_the_limits(report: dict[str, Any]) -> None:
    from scale.constants import Constants
    from scale.plan import MAX_SHARD
    from scale.project import SAMPLES, project

    constants = Constants.from_json(report["constants"])
    runs = [project(constants, DEVICE, samples) for samples in SAMPLES]
    assert all(run["files"]["data set"] <= manifest.MAX_FILES and run["shard_size"] <= MAX_SHARD for run in runs)
    assert all(run["hours"][64]["all"] < run["hours"][8]["all"] < run["hours"][1]["all"] for run in runs)
    hours = [run["gpu_hours"] for run in runs]
    assert [entry["cache"] for entry in hours] == pytest.approx([samples / 2000 / 3600 for samples in SAMPLES])
    assert [entry["mine"] for entry in hours] == pytest.approx([5 * samples / 100 / 3600 for samples in SAMPLES])
    assert all(run["tasks"] <= 700 for run in runs)


def test_the_page_has_the_tables_of_the_results(report: dict[str, Any]) -> None:
    from scale.tables import place, tables

    assert {row["workers"] for row in report["compared"]} == {1, 2, 3}
    assert report["samples"] == 60_000
    device = ROOT / "benchmarks" / "results" / "scale_gpu.json"
    page = (ROOT / "docs" / "scale.md").read_text()
    assert place(page, tables(report, json.loads(device.read_text()) if device.exists() else None)) == page


def test_every_table_is_made_where_a_gpu_was_measured(report: dict[str, Any]) -> None:
    from scale.tables import MISSING, place, tables

    found = tables(report, DEVICE)
    assert MISSING not in found.values()
    page = place((ROOT / "docs" / "scale.md").read_text(), found)
    assert all(table in page for table in found.values())
    assert "workers per GPU" in found["cost"] and "data.shard_size" in found["limits"]


def test_the_constants_of_a_device_are_measured_on_a_cpu_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scale import device

    monkeypatch.setattr(device.os, "cpu_count", lambda: 1)
    output = tmp_path / "gpu.json"
    tiny = {"teacher": "zoo:cnn", "student": "zoo:cnn", "side": 32, "classes": 10, "forward": 4, "climb": 2}
    arguments = [f"--{name}={value}" for name, value in {**tiny, "train": 2, "steps": 1, "seconds": 0.01}.items()]
    done = CliRunner().invoke(device.main, [*arguments, f"--output={output}"], catch_exceptions=False)
    assert done.exit_code == 0 and done.stdout.strip() == str(output)
    found = json.loads(output.read_text())
    assert DEVICE.keys() <= found.keys()
    assert all(found[name][precision] > 0 for name in ("forward", "mine") for precision in ("fp32", "bf16"))
    assert "scale.device" in sys.modules
