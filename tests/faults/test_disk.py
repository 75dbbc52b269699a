"""A disk without room: one line that says so, nothing half-written, and the next run goes on to the same bytes.

On a small file system of its own where one may be mounted, and everywhere under a limit on the size of files.
"""

from __future__ import annotations

import io
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cli.main import main
from pipeline.storage import Folder

STAGES = ("cache", "mine", "export", "train", "evaluate")
CONFIG = """
[run]
output = "{output}"
rounds = 2
device = "cpu"
[data]
train = "train.parquet"
eval = "train.parquet"
shard_size = 16
classes = 3
[teacher]
factory = "zoo:cnn"
kwargs = {{ width = 8, depth = 1 }}
[student]
factory = "zoo:cnn"
kwargs = {{ width = 4, depth = 1 }}
[mine]
steps = 2
[export]
shard_size = 20
[train]
steps = 6
batch_size = 8
checkpoint_every = 2
"""
Limit = Callable[[Path], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the source lies; a whole run, and for each stage a copy of the run before it."""
    folder = tmp_path_factory.mktemp("disk")
    images = []
    for pixels in np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8):
        sink = io.BytesIO()
        Image.fromarray(pixels).save(sink, "PNG")
        images.append({"bytes": sink.getvalue(), "path": None})
    type_ = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(images, type_), "label": [0, 1, 2, 0] * 10}), folder / "train.parquet")
    (folder / "whole").mkdir()
    for stage in STAGES:
        shutil.copytree(folder / "whole", folder / f"before-{stage}")
        assert run(folder, stage, folder / "whole") == 0
    shutil.copytree(folder / "whole", folder / "before-")
    return folder


def run(folder: Path, stage: str, output: Path) -> int:
    (folder / "config.toml").write_text(CONFIG.format(output=output))
    return main([stage, str(folder / "config.toml")])


def after(folder: Path, stage: str) -> dict[str, bytes]:
    """Every file of a whole run that has just done `stage`."""
    return contents(folder / f"before-{[*STAGES, ''][STAGES.index(stage) + 1]}")


def contents(run: Path) -> dict[str, bytes]:
    found = Folder(str(run))
    return {name: found.read(name) for name in found.find() if name != "config.toml" and not name.startswith("times/")}


def check(folder: Path, stage: str, output: Path, limit: Limit, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(folder / f"before-{stage}", output, dirs_exist_ok=True)
    with limit(output):
        code = run(folder, stage, output)
    errors = capsys.readouterr().err
    assert code == 1 and "Traceback" not in errors
    last = errors.splitlines()[-1]
    assert last.startswith(f"error: {output}/") and said in last and "the same command goes on" in last
    left = contents(output)
    assert not any(name.endswith(".tmp") for name in left)
    finished = {name for name in left if name.endswith("manifest.json")}
    assert all(left[name] == after(folder, stage)[name] for name in finished)
    assert run(folder, stage, output) == 0, capsys.readouterr().err
    assert contents(output) == after(folder, stage)


@contextmanager
def small_files(output: Path, largest: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("stage", STAGES)
def test_a_file_that_may_not_get_so_large(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    new = after(folder, stage).keys() - contents(folder / f"before-{stage}").keys()
    largest = max(len(after(folder, stage)[name]) for name in new)

    def limit(output: Path) -> AbstractContextManager[None]:
        return small_files(output, largest - 1)

    check(folder, stage, tmp_path / "run", limit, "ulimit -f", capsys)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@contextmanager
def nearly_full(output: Path, free: int) -> Iterator[None]:
    """All but `free` bytes of the file system taken."""
    filler = output.parent / "filler"
    with filler.open("wb") as file:
        file.write(bytes(shutil.disk_usage(output).free - free))
    yield
    filler.unlink()


@pytest.mark.parametrize("free", [0, 12 * 1024])
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk(folder: Path, disk: Path, capsys: pytest.CaptureFixture[str], stage: str, free: int) -> None:
    check(folder, stage, disk / "run", lambda output: nearly_full(output, free), "is full (0.0 MB free)", capsys)
