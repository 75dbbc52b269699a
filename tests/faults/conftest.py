"""Stages as processes of their own, on a run that takes a second or two each."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

STAGES = ("cache", "mine", "export", "train")
ROOT = Path(__file__).parents[2]

CONFIG = """
[run]
output = "whole"
rounds = 3
device = "cpu"
[data]
train = "train.parquet"
shard_size = 32
classes = 3
[teacher]
factory = "zoo:cnn"
kwargs = { width = 16, depth = 3 }
[student]
factory = "zoo:cnn"
kwargs = { width = 8, depth = 2 }
[mine]
steps = 12
[export]
shard_size = 64
[train]
steps = 480
batch_size = 16
checkpoint_every = 10
"""


def write_images(path: Path, count: int = 256) -> None:
    generator = np.random.default_rng(0)
    images = []
    for pixels in generator.integers(0, 256, (count, 12, 12), np.uint8):
        sink = io.BytesIO()
        Image.fromarray(pixels).save(sink, "PNG")
        images.append({"bytes": sink.getvalue(), "path": None})
    type_ = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    labels = pa.array(generator.integers(0, 3, count), pa.int64())
    pq.write_table(pa.table({"image": pa.array(images, type_), "label": labels}), path)


@dataclass(frozen=True)
class Laboratory:
    """A folder with a config, its data, and what each stage makes of it when nothing interrupts it.

    Attributes:
        folder: with config.toml; runs are directories in it.
        seconds: stage -> how long it writes for.
    """

    folder: Path
    seconds: dict[str, float]

    def start(self, stage: str, output: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a stage as a process."""
        config = [str(self.folder / "config.toml"), "--set", f"run.output={output}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "cli.main", stage, *config, *options]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        _, err = process.communicate()
        assert process.returncode == 0, err.decode()

    def prepare(self, stage: str, output: str) -> Path:
        """A run as it is before `stage`."""
        earlier = STAGES.index(stage) - 1
        if earlier >= 0:
            shutil.copytree(self.after(STAGES[earlier]), self.folder / output)
        return self.folder / output

    def begin(self, stage: str, output: str) -> tuple[Path, subprocess.Popen[bytes]]:
        """A run in which `stage` has just begun to write, and its process."""
        run = self.prepare(stage, output)
        process = self.start(stage, output)
        self.wait_for_a_file(process, run, "begun.json")
        return run, process

    def after(self, stage: str) -> Path:
        """A run as it is after `stage`."""
        return self.folder / f"after-{stage}"

    def artifacts(self, run: Path) -> dict[str, bytes]:
        """Every file of a run but its config.toml, which names the output, and how long things took."""
        files = (path for path in sorted(run.rglob("*")) if path.is_file() and not path.name.startswith("config.toml"))
        files = (path for path in files if path.parent.name != "times")
        return {str(path.relative_to(run)): path.read_bytes() for path in files}

    def wait_for_a_file(self, process: subprocess.Popen[bytes], run: Path, name: str = "*") -> None:
        """Wait until a process has written something of that name into the run, or has ended."""
        before = set(run.rglob(name))
        while process.poll() is None and set(run.rglob(name)) <= before:
            time.sleep(0.002)


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    made = Laboratory(tmp_path_factory.mktemp("faults"), {})
    write_images(made.folder / "train.parquet")
    (made.folder / "config.toml").write_text(CONFIG)
    for stage in STAGES:
        run = made.prepare(stage, f"after-{stage}")
        process = made.start(stage, run.name)
        made.wait_for_a_file(process, run)
        begin = time.monotonic()
        made.finish(process)
        made.seconds[stage] = time.monotonic() - begin
    return made
