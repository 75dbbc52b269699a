"""Ranks over accelerate: messages between them, and whole trainings in two processes that torchrun starts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from pipeline.stages import cache, export, train
from pipeline.work.accelerated import Accelerated, join
from pipeline.work.launch import ElsewhereError
from schemas.config import load_config
from schemas.errors import BpkdError, UserError

ROOT = Path(__file__).parents[3]


class Line:
    """Stands in for accelerate between three threads: what each gives is what all get."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(3)
        self._given: list[Any] = [None] * 3

    def rank(self, index: int) -> Accelerated:
        accelerator = type("", (), {"process_index": index, "num_processes": 3, "device": torch.device("cpu", 0)})()
        return Accelerated(accelerator, type("", (), self._messages(index)))

    def _messages(self, index: int) -> dict[str, Any]:
        def gather_object(value: list[Any]) -> list[Any]:
            self._given[index] = value
            self._barrier.wait(60)
            gathered = [one for given in self._given for one in given]
            self._barrier.wait(60)
            return gathered

        def broadcast_object_list(values: list[Any]) -> None:
            values[:] = gather_object([values])[0]

        return {"gather_object": gather_object, "broadcast_object_list": broadcast_object_list}


def on_three(work: Callable[[Accelerated], Any]) -> list[Any]:
    """What `work` returns on each of three ranks, or the class and exit code of what it raises."""
    line, outcomes = Line(), [None] * 3

    def run(index: int) -> None:
        try:
            outcomes[index] = work(line.rank(index))
        except Exception as error:
            outcomes[index] = type(error), getattr(error, "exit_code", 1)

    threads = [threading.Thread(target=run, args=[index]) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def raising(errors: dict[int, Exception], ranks: Accelerated) -> int:
    if ranks.index in errors:
        raise errors[ranks.index]
    return 10 + ranks.index


ELSEWHERE_1, ELSEWHERE_2 = (ElsewhereError, 1), (ElsewhereError, 2)
WRONG, LUCK = (UserError, 2), (BpkdError, 1)


@pytest.mark.parametrize(
    ("errors", "outcomes"),
    [
        ({}, [10, 11, 12]),
        ({0: UserError("x")}, [WRONG, ELSEWHERE_2, ELSEWHERE_2]),
        ({1: UserError("x")}, [ELSEWHERE_2, WRONG, ELSEWHERE_2]),
        ({2: ValueError("x")}, [ELSEWHERE_1, ELSEWHERE_1, (ValueError, 1)]),
        ({0: BpkdError("x"), 1: BpkdError("x"), 2: BpkdError("x")}, [LUCK, ELSEWHERE_1, ELSEWHERE_1]),
    ],
)
def test_what_fails_on_one_rank_ends_all_and_one_of_them_tells_it(errors, outcomes):
    assert on_three(lambda ranks: ranks.every(lambda: raising(errors, ranks))) == outcomes


@pytest.mark.parametrize(
    ("errors", "outcomes"), [({1: UserError("x")}, [10] * 3), ({0: UserError("x")}, [WRONG, ELSEWHERE_2, ELSEWHERE_2])]
)
def test_what_the_first_does_it_does_for_all(errors, outcomes):
    assert on_three(lambda ranks: ranks.first(lambda: raising(errors, ranks))) == outcomes


@pytest.mark.parametrize(
    ("device", "environment", "part"),
    [
        ("cuda:1", {}, 'run.device = "cuda:1" is one device, and 2 ranks take one each'),
        ("mps", {}, 'run.device = "mps" is one device'),
        ("cuda", {"LOCAL_WORLD_SIZE": "99"}, "for 99 ranks on this machine"),
        ("cpu", {"ACCELERATE_USE_FSDP": "true"}, "accelerate is set to use FSDP"),
    ],
)
def test_what_ranks_cannot_do_is_refused_before_they_meet(monkeypatch, device, environment, part):
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", **environment}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=part), join(device):
        pass


def test_without_accelerate_the_extra_is_named(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(UserError, match=r"pip install 'bpkd\[distributed\]'"), join("cpu"):
        pass


NET = """
import os, signal
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes, inputs, dropout=0.0):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, classes))
        self.body[0].bias.requires_grad_(False)
        self.unused = nn.Linear(8, classes)
        self.calls = 0
        if os.environ.get("BROKEN_RANK") == os.environ.get("RANK", "none"):
            raise FileNotFoundError("words.txt")

    def forward(self, inputs):
        self.calls += self.training
        if self.calls == 17 and os.environ.get("KILLED_RANK") == os.environ.get("RANK", "none"):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.body(inputs)
"""
CONFIG = """
[run]
output = "run"
rounds = 0
device = "cpu"
[data]
kind = "array"
train = "train.npz"
classes = 3
[teacher]
factory = "zoo:mlp"
kwargs = { hidden = [16] }
[student]
factory = "net.py:Net"
kwargs = { inputs = 6, classes = 3 }
[train]
steps = 30
batch_size = 7
lr = 0.01
alpha = 0.5
checkpoint_every = 5
"""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SCRIPT = """
import json, sys
from cli.main import main
for arguments in json.loads(sys.argv[1]):
    if code := main(arguments):
        sys.exit(code)
"""


@dataclass(frozen=True)
class Workshop:
    """A folder with a config, and a data set of 40 samples, some of them labelled, in a single shard."""

    folder: Path

    def output(self, name: str) -> str:
        return str(self.folder / name)

    def config(self, **kwargs: Any) -> Any:
        return load_config(
            str(self.folder / "c.toml"), [f"student.kwargs.{name}={value}" for name, value in kwargs.items()]
        )

    def train(self, *runs: list[str], **environment: str) -> tuple[int, str, str]:
        """`bpkd train` with each of these arguments in turn, in two processes; (exit code, stdout, stderr)."""
        commands = [["train", str(self.folder / "c.toml"), *run] for run in runs]
        (self.folder / "script.py").write_text(SCRIPT)
        done = subprocess.run(
            [*TORCHRUN, str(self.folder / "script.py"), json.dumps(commands)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        return done.returncode, done.stdout, done.stderr

    def files(self, name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / name).iterdir()}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    made = Workshop(tmp_path_factory.mktemp("ranks"))
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(40, 6)).astype(np.float32)
    labels = np.where(draw.random(40) < 0.6, inputs[:, :3].argmax(1), -1)
    np.savez(made.folder / "train.npz", x=inputs, y=labels)
    (made.folder / "net.py").write_text(NET)
    (made.folder / "c.toml").write_text(CONFIG)
    cache(made.config())
    assert len([file for file in export(made.config()).files if file.samples]) == 1
    return made


DROPOUT = ["--set", "student.kwargs.dropout=0.4"]


@pytest.fixture(scope="module")
def trained(workshop: Workshop) -> tuple[str, str]:
    """(stdout, stderr) of training "two", finding it finished, and training "whole", with dropout."""
    plain = ["--output", workshop.output("two"), "--json"]
    code, out, err = workshop.train(plain, plain, ["--output", workshop.output("whole"), "--quiet", *DROPOUT])
    assert code == 0, err
    return out, err


@pytest.mark.xdist_group("torchrun")
@pytest.mark.timeout(240)
@pytest.mark.slow
class TestTwoProcesses:
    def test_one_of_them_speaks_and_a_finished_training_stays(self, trained):
        out, err = trained
        assert [json.loads(line)["details"]["steps"] for line in out.splitlines()[:2]] == [30, 30]
        assert len(out.splitlines()) == 3
        assert len(err.splitlines()) == 1 and err.startswith("train: 30 steps")

    def test_the_loss_curve_is_that_of_one_process(self, workshop, trained):
        one = train(workshop.config(), output=workshop.output("one"))
        curves = [pl.read_parquet(workshop.output(name) + "/metrics.parquet") for name in ("one", "two")]
        assert len(curves[0]) == 5 and curves[0].columns == curves[1].columns
        np.testing.assert_allclose(curves[1].to_numpy(), curves[0].to_numpy(), rtol=1e-5)
        assert one.fingerprint == json.loads(workshop.files("two")["manifest.json"])["fingerprint"]

    def test_killed_and_started_again_gives_the_bytes_of_an_unbroken_training(self, workshop, trained):
        broken = ["--output", workshop.output("broken"), *DROPOUT]
        code, _, err = workshop.train(broken, KILLED_RANK="1")
        assert code != 0
        assert len(said(err)) == 1 and said(err)[0].endswith("run the same command again to resume"), err
        shutil.copytree(workshop.output("broken"), workshop.output("alone"))
        code, _, err = workshop.train(broken)
        assert code == 0 and "resumed at step 15 of 30" in err, err
        assert workshop.files("broken") == workshop.files("whole")
        manifest = train(workshop.config(dropout=0.4), output=workshop.output("alone"))  # by another number of ranks
        assert manifest.details["steps"] == 30 and manifest.details["epochs"] == 5

    @pytest.mark.parametrize(
        ("options", "environment", "lines"),
        [
            (["--set", "train.batch_size=1"], {}, ["error: train.batch_size = 1 is that of all 2 ranks together;"]),
            ([], {"BROKEN_RANK": "1"}, ["error: failed on rank 1, which says why", "rank 1: error: student.factory"]),
        ],
    )
    def test_an_error_of_one_rank_ends_both(self, workshop, options, environment, lines):
        code, out, err = workshop.train(["--output", workshop.output("none"), *options], **environment)
        assert code != 0 and out == ""
        told = sorted(said(err))
        assert len(told) == len(lines) and all(map(str.startswith, told, lines)), err
        assert not (workshop.folder / "none").exists()


def said(stderr: str) -> list[str]:
    """Lines of ours among those that torchrun has to say of processes that failed."""
    return [line for line in stderr.splitlines() if line.startswith(("error", "rank", "interrupted"))]
