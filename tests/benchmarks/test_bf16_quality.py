"""benchmarks/bf16_quality.py works, and compares what it says it compares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
IMAGES = 48
HUB = {"info": {"features": {"label": {"_type": "ClassLabel", "names": [f"class {number}" for number in range(10)]}}}}


@pytest.fixture
def bf16(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # which the teacher's training would set as the number of threads
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes of the benchmark: the bits depend on it
    yield import_module("bf16_quality")
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_climbs_are_those_of_the_runs(bf16: Any, tmp_path: Path) -> None:
    from pipeline import layout
    from pipeline.models import freeze
    from pipeline.work.numerics import reproducible
    from pipeline.work.training import load_trained

    for split in ("train", "test"):
        import_module("images").write_source(tmp_path / split, IMAGES)
        table = pq.read_table(tmp_path / split / "00000.parquet")
        pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(HUB)}), tmp_path / f"{split}-0.parquet")
    output, work = tmp_path / "found.json", tmp_path / "work"
    arguments = ["--data", str(tmp_path), "--quick", "--jobs", "1", "--work", str(work), "--output", str(output)]
    done = CliRunner().invoke(bf16.main, arguments, catch_exceptions=False)
    assert done.exit_code == 0 and "┃" in done.output
    report = json.loads(output.read_text())
    gaps = [bf16.Gaps(**gap) for gap in report["gaps"]]
    assert [(gap.round, gap.climbs, gap.opponents) for gap in gaps] == [(r, *way) for r in (1, 2) for way in bf16.WAYS]
    for gap in gaps:  # in fp32 what is stored is what is seen, in bf16 it is not
        assert (gap.seen == pytest.approx(gap.after, rel=1e-5)) == (gap.climbs == "fp32")
    students = [(result["student"], result["method"]) for result in report["students"]]
    assert sorted(students) == [(name, way) for name in ("continued", "fresh") for way in ("bf16", "fp32")]

    # Climbing again in fp32 against a run's own opponent gives that run's samples.
    config = bf16.config_of(bf16.QUICK, "fp32", 0, bf16.Scale(str(tmp_path), work, bf16.QUICK.steps, 1))
    setup = bf16.set_up_climbs(config, config.output)
    load_trained(layout.opponent(config.output, 2), setup.student)
    freeze(setup.student)
    with reproducible():
        assert bf16.climb_again(setup, 2).equals(bf16.stored_by(setup, 2))


def test_differences_are_of_pairs(bf16: Any) -> None:
    """Students whose accuracy differs from seed to seed, but for each seed by about a point."""
    found = [
        bf16.Result(precision, "continued", seed, 0.5 + seed / 10 + lead * (precision == "bf16"), 0.5, 1, None)
        for seed, lead in enumerate((0.008, 0.012))
        for precision in bf16.PRECISIONS
    ]
    (_, accuracy, agreement) = bf16.student_rows(found)
    assert accuracy == ["continued", "accuracy", "2", "55.00 ± 7.07", "56.00 ± 7.35", "+1.00 ± 0.20"]
    assert agreement[-1] == "+0.00 ± 0.00"
