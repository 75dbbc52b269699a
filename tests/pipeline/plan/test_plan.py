"""What `plan` says of a tiny run, beside what the run then makes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from pipeline import layout
from pipeline.artifacts.artifact import read_manifest
from pipeline.metrics.classification import ClassificationMeter
from pipeline.plan.costs import Plan, StagePlan
from pipeline.plan.plan import plan
from pipeline.stages import cache, evaluate, export, mine, train
from schemas.config import Config
from schemas.errors import UserError


def by_stage(found: Plan) -> dict[str, StagePlan]:
    return {stage.stage: stage for stage in found.stages}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train": {"steps": None, "epochs": 2.0}},
        {"train": {"init": "fresh"}},
        {"run": {"rounds": 0}},
        {"export": {"include_source": False, "format": "parquet"}},
        {"mine": {"start": "noise", "climbs": 2, "keep": "top", "keep_fraction": 0.5}},
        {"run": {"workers": 2}},
    ],
)
def test_samples_and_steps_are_those_that_the_run_then_has(
    configure: Callable[..., Config], tmp_path: Path, changes: dict[str, dict[str, object]]
) -> None:
    config = configure(**changes)
    found = plan(config, seconds=0.2)
    assert not (tmp_path / "run").exists()
    stages = by_stage(found)
    logits, rounds = cache(config), mine(config)
    dataset, student = export(config), train(config)
    assert stages["cache"].samples == logits.samples == 40
    mined = sum(manifest.samples for manifest in rounds)
    assert ("mine" in stages) == bool(rounds)
    if rounds:
        assert stages["mine"].samples == mined
        trained = [read_manifest(layout.opponent(config.output, number + 1), None) for number in range(len(rounds))]
        assert stages["mine"].steps == sum(manifest.details["steps"] for manifest in trained)
    assert stages["train"].steps == student.details["steps"]
    assert stages["export"].samples == dataset.samples
    assert stages["train"].samples == dataset.samples
    assert stages["evaluate"].samples == 24
    written = sum(file.bytes for file in dataset.files)
    assert stages["export"].bytes == pytest.approx(written, rel=0.35)  # a tar's end, a Parquet's footer
    evaluate(config)
    answers = read_manifest(layout.evaluation(config.output), None)
    written = sum(file.bytes for file in answers.files)
    assert stages["evaluate"].bytes == pytest.approx(written, rel=0.5)  # a footer for each of the smaller shards


@pytest.mark.slow
def test_evaluate_is_measured_with_all_that_it_does(
    configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures are computed once, and a gallery is chosen from the whole data set."""
    config, seconds = configure(), by_stage(plan(configure(), workers=(1,), seconds=0))["evaluate"].seconds[1]

    def slowed(module: ModuleType | type, name: str, taken: float) -> None:
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: (time.sleep(taken), original(*given))[1])

    slowed(sys.modules["pipeline.stages.evaluate"], "choose_pairs", 0.5 + seconds)
    looked = by_stage(plan(config, workers=(1,), seconds=0))
    assert looked["evaluate"].seconds[1] > (0.5 + seconds) * 120 / 80  # the data set of the run beside the pilot's
    monkeypatch.undo()
    slowed(ClassificationMeter, "compute", 0.5 + seconds)
    assert by_stage(plan(config, workers=(1,), seconds=0))["evaluate"].seconds[1] > 0.5 + seconds


def test_workers_shorten_what_is_done_in_shards(configure: Callable[..., Config]) -> None:
    found = plan(configure(), workers=(1, 3), seconds=0.2)
    stages = by_stage(found)
    for name in ("cache", "mine"):
        assert 0 < stages[name].seconds[3] < stages[name].seconds[1]
    assert stages["train"].seconds[3] == stages["train"].seconds[1] > 0
    assert found.seconds(3) < found.seconds(1)
    assert all(stage.memory > 2**26 for stage in found.stages)
    assert (found.workers, found.source_samples, found.notes) == (1, 40, [])


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"run": {"versions": True}}, "what a run before has left"),
        ({"run": {"output": "memory://planned"}}, "writing to memory://planned is not in it"),
        ({"run": {"runner": "dask"}}, 'not with run.runner = "dask"'),
    ],
)
def test_what_it_leaves_out_is_said(
    configure: Callable[..., Config], changes: dict[str, dict[str, object]], note: str
) -> None:
    [said] = plan(configure(**changes), workers=(1,), seconds=0).notes
    assert note in said


def test_workers_that_cannot_help_are_said(configure: Callable[..., Config]) -> None:
    assert plan(configure(), workers=(4,), seconds=0).notes == [
        "data.shard_size = 16 makes 3 shards: no more workers can help"
    ]


def test_threads_that_share_the_cores_are_said(
    configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    [said] = plan(configure(run={"workers": 2}), workers=(1,), seconds=0).notes
    assert said.startswith("workers x threads = 2 x 1 on a machine of cores = 1: with OMP_NUM_THREADS=1 ")


def test_a_mistake_is_found_before_anything_is_measured(configure: Callable[..., Config]) -> None:
    with pytest.raises(UserError, match=r"data\.train"):
        plan(configure(data={"train": "nothing-here"}))
