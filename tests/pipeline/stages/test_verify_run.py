"""A whole run is verified as a whole: every artifact was made from those beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.stages import cache, evaluate, export, mine, train
from pipeline.verify import verify


@pytest.fixture
def run(configure) -> Path:
    config = configure()
    for stage in (cache, mine, export, train, evaluate):
        stage(config)
    return Path(config.output)


def problems(run: Path) -> list[str]:
    return [str(problem) for problem in verify(str(run)).problems]


def test_a_run_of_one_piece_is_fine(run):
    assert problems(run) == []
    shutil.rmtree(run / "round-01")  # what was removed to save room is not missed
    assert problems(run) == []


def test_a_stage_that_was_done_anew_makes_what_follows_stale(run, configure):
    export(configure(export={"shard_size": 20}), restart=True)
    assert problems(run) == ["student/manifest.json: was made from another dataset than the one in this run"]
    train(configure(), restart=True)
    assert problems(run) == ["evaluation/manifest.json: was made from another student than the one in this run"]


def test_rounds_that_were_mined_anew(run, configure):
    mine(configure(mine={"step_size": 0.1}), restart=True)
    found = problems(run)
    assert found == [
        "dataset/manifest.json: was made from another round-01/auxiliary than the one in this run",
        "dataset/manifest.json: was made from another round-02/auxiliary than the one in this run",
    ]


def test_logits_that_were_cached_anew(run, configure):
    cache(configure(cache={"codec": "fp32"}), restart=True)
    assert len(problems(run)) == 5 and all("another teacher-logits" in line for line in problems(run))


def test_a_round_in_the_place_of_another(run):
    shutil.rmtree(run / "round-01" / "auxiliary")
    shutil.copytree(run / "round-02" / "auxiliary", run / "round-01" / "auxiliary")
    assert any(line.startswith("round-01/auxiliary/manifest.json: ") for line in problems(run))
