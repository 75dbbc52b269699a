"""A stage killed with SIGKILL at any moment and started again ends in the bytes of an uninterrupted run.

Each case starts the stage as a process, kills it at a random moment after it has begun to write, lets it run again to
its end, and compares every file. `make faults` does 48 kills; the ordinary tests do one for each stage.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

STAGES = ("cache", "mine", "export", "train")
KILLS = int(os.environ.get("BPKD_KILLS", len(STAGES)))
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


def start(folder: Path, stage: str, output: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cli.main", stage, str(folder / "config.toml"), "--set", f"run.output={output}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()


def artifacts(folder: Path) -> dict[str, bytes]:
    """Every file of a run but its config.toml, which names the output."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "config.toml")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, float]]:
    """An uninterrupted run: stage -> (copy of the run right after it, seconds that it wrote for)."""
    folder = tmp_path_factory.mktemp("faults")
    write_images(folder / "train.parquet")
    (folder / "config.toml").write_text(CONFIG)
    done = {}
    for stage in STAGES:
        process = start(folder, stage, "whole")
        seconds = writing(process, folder / "whole")
        finish(process)
        done[stage] = (folder / f"after-{stage}", seconds)
        shutil.copytree(folder / "whole", done[stage][0])
    return done


def writing(process: subprocess.Popen[bytes], run: Path) -> float:
    """Seconds between the first file that a process writes and its end."""
    before = set(run.rglob("*"))
    while process.poll() is None and set(run.rglob("*")) <= before:
        time.sleep(0.002)
    begin = time.monotonic()
    process.wait()
    return time.monotonic() - begin


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("number", range(KILLS // len(STAGES)))
@pytest.mark.parametrize("stage", STAGES)
def test_killed_and_started_again(whole: dict[str, tuple[Path, float]], stage: str, number: int) -> None:
    expected, seconds = whole[stage]
    folder, output = expected.parent, f"killed-{stage}-{number}"
    earlier = STAGES.index(stage) - 1
    if earlier >= 0:
        shutil.copytree(whole[STAGES[earlier]][0], folder / output)
    before = set((folder / output).rglob("*"))
    process = start(folder, stage, output)
    while process.poll() is None and set((folder / output).rglob("*")) <= before:
        time.sleep(0.002)
    time.sleep(random.Random(f"{stage} {number}").uniform(0, seconds))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finish(start(folder, stage, output))
    assert artifacts(folder / output) == artifacts(expected)
    shutil.rmtree(folder / output)
