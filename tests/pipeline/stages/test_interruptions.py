"""Broken off anywhere and started again, a stage leaves the bytes of an unbroken run."""

from __future__ import annotations

import itertools
import shutil
from functools import partial
from pathlib import Path

import pytest

from pipeline import layout
from pipeline.artifacts.units import Target
from pipeline.shards import pool
from pipeline.stages import cache, evaluate, export, mine, train
from schemas.errors import UserError

STAGES = {"cache": cache, "mine": mine, "export": export, "train": train}


@pytest.mark.parametrize("stage", ["cache", pytest.param("mine", marks=pytest.mark.slow), "export", "train"])
def test_stopped_at_any_write_and_resumed_is_as_if_never_stopped(configure, files, stopped, stage):
    before, whole = configure(run={"output": "before"}), configure(run={"output": "whole"})
    earlier = list(STAGES)[: list(STAGES).index(stage)]
    for name in earlier:
        STAGES[name](before)
    Path(before.output).mkdir(exist_ok=True)
    shutil.copytree(before.output, whole.output)
    STAGES[stage](whole)
    for writes in itertools.count():
        broken = configure(run={"output": f"broken-{writes}"})
        shutil.copytree(before.output, broken.output)
        if not stopped(partial(STAGES[stage], broken), writes):
            break
        STAGES[stage](broken)
        assert files(broken.output) == files(whole.output), f"stopped after {writes} writes"
    assert writes >= 7


@pytest.mark.slow
def test_a_streamed_training_goes_on_in_the_window_where_it_stopped(configure, files, stopped, monkeypatch):
    monkeypatch.setattr(pool, "sample_bytes", lambda rows: 2**20 // 60)  # a MiB of two shards
    begun, begin = [], pool.begin
    monkeypatch.setattr(pool, "begin", lambda call, name: begun.append(name) or begin(call, name))
    config = configure(run={"output": "whole"}, train={"memory_mb": 1, "checkpoint_every": 2, "init": "fresh"})
    for stage in STAGES.values():
        stage(config)
    assert begun
    whole = files(layout.student(config.output))
    for writes in itertools.count():
        output = layout.student(f"{config.output}-{writes}")
        train_again = partial(train, config, dataset=layout.dataset(config.output), output=output)
        if not stopped(train_again, writes):
            break
        train_again()
        assert files(output) == whole, f"stopped after {writes} writes"
    assert writes >= 7


def test_finished_shards_are_not_made_again(configure, monkeypatch, stopped):
    config = configure()
    assert stopped(partial(cache, config), 5)
    written = []
    write = Target._write
    monkeypatch.setattr(
        Target, "_write", lambda self, folder, file: written.append(file.path) or write(self, folder, file)
    )
    cache(config)
    assert written == ["shard-00002.parquet"]


@pytest.mark.parametrize(
    ("changes", "stage", "named"),
    [
        ({"cache": {"codec": "fp32"}}, "cache", "codec"),
        ({"data": {"limit": 10}}, "cache", "data.limit"),
        ({"mine": {"steps": 4}}, "mine", "mine.steps"),
        ({"run": {"seed": 5}}, "mine", "run.seed"),
        ({"run": {"rounds": 3}}, "mine", "run.rounds"),
        ({"train": {"lr": 0.02}}, "mine", "train.lr"),
        ({"export": {"shard_size": 31}}, "export", "export.shard_size"),
        ({"train": {"init": "fresh"}}, "train", "train.init"),
    ],
)
def test_what_was_made_otherwise_is_refused_and_named(configure, changes, stage, named):
    config = configure()
    for name, function in STAGES.items():
        function(config)
        if name == stage:
            break
    with pytest.raises(UserError, match=rf"{named}\b.*--restart"):
        STAGES[stage](configure(**changes))


def test_artifacts_that_do_not_belong_together_are_refused(configure):
    for function in STAGES.values():
        function(configure())
    evaluate(configure())
    other = {"teacher": {"weights": None}}
    cache(configure(**other), restart=True)
    with pytest.raises(UserError, match=r"auxiliary was made with the teacher logits' files.*mine CONFIG --restart"):
        export(configure(**other), restart=True)
    with pytest.raises(UserError, match=r"opponent was made with train.lr = 0.01.*train.init"):
        train(configure(train={"lr": 0.5}), restart=True)
    scaled = {"student": {"mean": [0.5], "std": [0.5]}}
    with pytest.raises(UserError, match=r"student was made with mean"):
        evaluate(configure(**scaled), restart=True)


def test_mining_takes_the_codec_that_the_cache_has(configure):
    cache(configure())
    with pytest.raises(UserError, match=r'codec = "fp16", now it is "fp32".*bpkd cache'):
        mine(configure(cache={"codec": "fp32"}))


def test_model_code_counts(configure, tmp_path):
    code = "from torch import nn\ndef net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 3){})\n"
    (tmp_path / "net.py").write_text(code.format(""))
    teacher = {"factory": "net.py:net", "kwargs": {}, "weights": None}
    cache(configure(teacher=teacher))
    (tmp_path / "net.py").write_text(code.format(", nn.ReLU()"))
    with pytest.raises(UserError, match=r"the code of the teacher's factory = [0-9a-f]{12}, now"):
        cache(configure(teacher=teacher))


def test_provenance_is_that_of_the_samples(configure):
    config = configure()
    cache(config), mine(config)
    manifest = export(configure(mine={"steps": 77}, train={"lr": 0.5}))
    assert manifest.details["provenance"]["mine"]["steps"] == 3
    assert manifest.details["provenance"]["train"]["lr"] == 0.01


@pytest.mark.parametrize("stage", ["cache", "export", "train"])
def test_restart_never_removes_what_it_did_not_make(configure, tmp_path, stage):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("mine")
    for name, function in STAGES.items():
        if name == stage:
            break
        function(configure())
    with pytest.raises(UserError, match="holds other files"):
        STAGES[stage](configure(), output=str(tmp_path / "precious"), restart=True)
    assert (tmp_path / "precious" / "thesis.txt").exists()


def test_a_student_is_not_written_over_its_data_set(configure):
    for function in STAGES.values():
        function(configure())
    with pytest.raises(UserError, match="holds a dataset; name another place"):
        train(configure(), output=layout.dataset(configure().output), restart=True)


def test_restart_makes_it_anew(configure, files):
    cache(configure())
    cache(configure(cache={"codec": "fp32"}), restart=True)
    assert b'"codec":"fp32"' in files(layout.teacher_logits(configure().output))["manifest.json"].replace(b" ", b"")


def test_settings_that_cannot_change_the_result_do_not_count(configure):
    config = configure()
    for function in STAGES.values():
        function(config)
    same = configure(train={"checkpoint_every": 7})
    for function in STAGES.values():
        function(same)


def test_a_config_that_is_refused_does_not_take_the_place_of_the_runs_own(configure):
    for function in STAGES.values():
        function(configure())
    recorded = Path(configure().output, "config.toml")
    before = recorded.read_bytes()
    changed = configure(mine={"steps": 4})
    cache(changed)
    with pytest.raises(UserError, match=r"mine.steps = 3, now it is 4; .*bpkd mine CONFIG --restart"):
        mine(changed)
    assert recorded.read_bytes() == before
    mine(changed, restart=True)
    assert b"steps = 4" in recorded.read_bytes()
