"""Broken off anywhere and started again, a stage leaves the bytes of an unbroken run."""

from __future__ import annotations

import pytest

from pipeline import layout
from pipeline.shards.artifact import Artifact
from pipeline.stages import cache, export, mine, train
from schemas.errors import UserError


class Stop(BaseException):
    """Not an Exception, as a kill or Ctrl-C is none."""


def stopping_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next `writes` writes of any artifact through, then stop."""
    from pipeline.storage import Folder

    left, write = writes, Folder.write

    def counted(self: Folder, name: str, data: bytes) -> None:
        nonlocal left
        if left == 0:
            raise Stop
        left -= 1
        write(self, name, data)

    monkeypatch.setattr(Folder, "write", counted)


STAGES = {"cache": cache, "mine": mine, "export": export, "train": train}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("writes", [0, 1, 2, 3, 4, 6])
def test_resumed_is_as_if_never_stopped(configure, files, monkeypatch, stage, writes):
    whole, broken = configure(run={"output": "whole"}), configure(run={"output": "broken"})
    for config in (whole, broken):
        for name, function in STAGES.items():
            if config is broken and name == stage:
                with monkeypatch.context() as patch:
                    stopping_after(writes, patch)
                    with pytest.raises(Stop):
                        function(config)
            function(config)
            if name == stage:
                break
    assert files(broken.output) == files(whole.output)


def test_finished_shards_are_not_made_again(configure, monkeypatch):
    config = configure()
    with monkeypatch.context() as patch:
        stopping_after(5, patch)
        with pytest.raises(Stop):
            cache(config)
    written = []
    write = Artifact.write
    monkeypatch.setattr(
        Artifact, "write", lambda self, path, *a, **k: written.append(path) or write(self, path, *a, **k)
    )
    cache(config)
    assert written == ["shard-00002.parquet"]


@pytest.mark.parametrize(
    ("changes", "stage", "named"),
    [
        ({"cache": {"codec": "fp32"}}, "cache", "codec"),
        ({"data": {"limit": 10}}, "cache", "source.limit"),
        ({"mine": {"steps": 4}}, "mine", "mine.steps"),
        ({"run": {"seed": 5}}, "mine", "seed"),
        ({"run": {"rounds": 3}}, "mine", "rounds"),
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
