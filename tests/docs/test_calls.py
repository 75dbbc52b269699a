"""The `bpkd` commands of pages that are not followed block by block, in their order, on a run of some images."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.main import main
from tests.docs.blocks import ROOT, blocks, bpkd_calls
from tests.pipeline.stages.conftest import teacher_weights, write_images

PAGES = {"README.md": "my-run.toml", "docs/deploy.md": "config.toml"}
"""Page -> the config that it speaks of."""
CONFIG = """
[run]
output = "runs/distill"
rounds = 1
[data]
train = "train.parquet"
eval = "eval.parquet"
shard_size = 16
classes = 3
[teacher]
factory = "zoo:cnn"
kwargs = { classes = 3, width = 8, depth = 1 }
weights = "teacher.safetensors"
[student]
factory = "zoo:cnn"
kwargs = { classes = 3, width = 4, depth = 1 }
[mine]
steps = 2
[train]
steps = 8
"""
OPTIONS = {"run": ["--direct"], "plan": ["--seconds", "0"], "init": ["--force"]}
"""With which a command goes without Prefect, measures no longer than it has to, and replaces the config."""


def is_run(call: list[str]) -> bool:
    """Not what needs a Prefect server (tests/flows), nor runs of examples, which pages of how-to/ follow."""
    return call[0] != "deploy" and not any(word.startswith("examples/") for word in call)


def as_run(call: list[str]) -> list[str]:
    """A call as this test makes it; what is trained from a data set that was received is somebody else's run."""
    options = OPTIONS.get(call[0], [])
    theirs = ["--set", "run.output=runs/theirs"] if "--dataset" in call else []
    return [*call, *([] if set(options) <= set(call) else options), *theirs, "--quiet"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES)
def test_every_command_works(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: None) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "train.parquet", 40, seed=0)
    write_images(tmp_path / "eval.parquet", 24, seed=1)
    (tmp_path / "teacher.safetensors").write_bytes(teacher_weights())
    config = tmp_path / PAGES[page]
    config.write_text(CONFIG)
    calls = [call for block in blocks(ROOT / page) if block.language == "sh" for call in bpkd_calls(block)]
    chosen = [call for call in calls if is_run(call)]
    assert chosen
    for call in chosen:
        assert main(as_run(call)) == 0, call
        if call[0] == "init":
            config.write_text(CONFIG)  # as the page asks for
