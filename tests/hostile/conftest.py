"""Data sets that mean harm, with manifests whose hashes are all right, and the commands that meet them."""

from __future__ import annotations

import hashlib
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from cli.main import main
from pipeline.shards.rows import Climbs, RowFormat, Rows
from pipeline.shards.tar import read_tar
from schemas.manifest import FileEntry, Manifest, pack
from schemas.registry import FORMATS

FORM = RowFormat("image", "fp16", 3, (1, 5, 4), "classification")
MEMORY = 600 * 2**10
"""KiB that a command may take beyond what the process had; the bombs stand for many GiB."""

COMMANDS = {
    "train": "train {config} --dataset {dataset} --output {output} --quiet",
    "verify": "verify {dataset} --quiet",
    "verify --decode": "verify {dataset} --decode --quiet",
    "inspect": "inspect {dataset} --quiet",
    "inspect --sample": "inspect {dataset} --sample s1 --save {output} --quiet",
    "pull": "pull {dataset} {output} --quiet",
}
CONFIG = """
run = { output = "run", device = "cpu", rounds = 0 }
data = { train = "none.parquet" }
teacher = { factory = "zoo:mlp" }
student = { factory = "zoo:mlp" }
train = { steps = 2, batch_size = 4, init = "fresh" }
"""


@pytest.fixture
def form() -> RowFormat:
    return FORM


@pytest.fixture
def table() -> pa.Table:
    """Two source samples s0 and s1, and x0+r01 and x1+r01 mined from them."""
    generator = np.random.default_rng(0)

    def rows(keys: list[str], labels: list[int], source: bool) -> Rows:
        stored = generator.integers(0, 256, (2, *FORM.shape), np.uint8)
        return Rows(keys, stored, np.array(labels), torch.zeros(2, FORM.width), np.full(2, source))

    gaps = np.ones(2, np.float32)
    mined = FORM.encode(rows(["s0+r01", "s1+r01"], [-1, -1], False), Climbs(["s0", "s1"], 1, gaps, gaps, np.ones(2)))
    return pa.concat_tables([FORM.encode(rows(["s0", "s1"], [0, -1], True)), mined]).combine_chunks()


@pytest.fixture
def members(table: pa.Table) -> dict[str, bytes]:
    """The files of the tar that holds `table`."""
    return dict(read_tar(FORMATS.build("webdataset").write(table, FORM)))


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """`dataset(format, shard, rows={}, details={}, entry={})`: writes a data set of one shard around any bytes."""

    def write(
        format: str,
        shard: bytes,
        *,
        rows: dict[str, Any] | None = None,
        details: dict[str, Any] | None = None,
        entry: dict[str, Any] | None = None,
    ) -> Path:
        folder = tmp_path / "there" / "dataset"
        folder.mkdir(parents=True)
        path = f"train-00000-of-00001.{FORMATS.build(format).suffix}"
        (folder / path).write_bytes(shard)
        promised = {
            "path": path,
            "bytes": len(shard),
            "sha256": hashlib.sha256(shard).hexdigest(),
            "samples": 4,
            "source": 2,
            "labelled": 1,
            **(entry or {}),
        }
        spec = {"kind": "image", "codec": "fp16", "width": 3, "shape": [1, 5, 4], "task": "classification"}
        gap = dict.fromkeys(("mean", "q25", "q50", "q75"), 1.0)
        counts = {
            "source": 2,
            "auxiliary": 2,
            "rounds": [{"round": 1, "samples": 2, "gap": {"gap_before": gap, "gap_after": gap}}],
        }
        stated = {"rows": {**spec, **(rows or {})}, "format": format, "split": "train", "counts": counts}
        manifest = Manifest.model_construct(
            artifact="dataset",
            bpkd="1",
            files=[FileEntry.model_construct(**promised)],
            fingerprint={},
            details={**stated, "provenance": {}, **(details or {})},
        )
        (folder / "manifest.json").write_bytes(pack(manifest))
        return folder

    return write


@pytest.fixture
def harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], tuple[int, str, str]]:
    """`harmless(arguments)`: run a command, and see that no harm comes of it; its exit code, stdout and stderr.

    What it writes must lie in `output`.
    """

    def run(arguments: list[str]) -> tuple[int, str, str]:
        before, memory = _listing(tmp_path), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        code = main(arguments)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        out, err = capsys.readouterr()
        # An exception that nobody expected is reported with a hint at --debug.
        assert "Traceback" not in err and "--debug" not in err, err
        assert (out + err).replace("\n", "").isprintable()
        assert grown < MEMORY
        assert not hasattr(pytest, "hostile_code_ran")
        new = _listing(tmp_path) - before
        assert {path.partition("/")[0] for path in new} <= {"output"}
        return code, out, err

    return run


@pytest.fixture
def config() -> str:
    """Of the training that meets the data set."""
    return CONFIG


@pytest.fixture(params=COMMANDS)
def attack(request: Any, tmp_path: Path, harmless: Callable, config: str) -> Callable[[Path, str | None], None]:
    """`attack(folder, error)`: run a command on a data set, and see that no harm comes of it.

    Training must end with `error`. Of the other commands verify must find something wrong too; inspect and pull, which
    look at less, need only not be harmed.
    """
    (tmp_path / "config.toml").write_text(config)

    def run(folder: Path, error: str | None) -> None:
        places = {"config": tmp_path / "config.toml", "dataset": folder, "output": tmp_path / "output"}
        code, out, err = harmless([part.format(**places) for part in COMMANDS[request.param].split()])
        lenient = error is None or request.param.startswith(("inspect", "pull"))
        assert code in ((0, 1, 2) if lenient else (1, 2)), (out, err)
        if request.param == "train" and error is not None:
            assert len(err.splitlines()) == 1 and re.search(error, err), err
        if request.param == "pull":
            # What it knows of a transfer that it has not finished lies in _progress.
            listed = {"output", *(f"output/{file.name}" for file in folder.iterdir())}
            there = {path for path in _listing(tmp_path) if path.partition("/")[0] == "output"}
            assert {path for path in there if not path.startswith("output/_progress")} <= listed

    return run


def _listing(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}
