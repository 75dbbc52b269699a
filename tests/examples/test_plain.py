"""What needs no bpkd: the README's code that opens a data set, and the example that trains from one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.main import main

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "plain_torch.py"
SECTION = re.compile(r"## The data set that comes out\n(.*?)\n## ", re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the examples, and what `own_model.py` prepares."""
    pytest.importorskip("sklearn")
    copy: Path = tmp_path_factory.mktemp("plain")
    shutil.copytree(EXAMPLE.parent, copy / "examples")
    subprocess.run([sys.executable, copy / "examples" / "own_model.py"], check=True)
    return copy


@pytest.fixture(scope="module")
def export(folder: Path) -> Callable[..., Path]:
    """A function (*settings) -> folder of a run's data set, with two rounds of auxiliary samples."""

    def run(*settings: str) -> Path:
        output = folder / "runs" / re.sub(r"\W", "-", "-".join(settings))
        config = [str(folder / "examples" / "own_model.toml"), "--quiet", *(f"--set={one}" for one in settings)]
        config += [f"--set=run.output={output}", "--set=run.rounds=2", "--set=train.steps=300"]
        for stage in ("cache", "mine", "export"):
            assert main([stage, *config]) == 0
        return output / "dataset"

    return run


@pytest.mark.parametrize("include", ["true", "false"])
def test_a_student_without_bpkd(export: Callable[..., Path], folder: Path, include: str) -> None:
    data = export("export.format=parquet", f"export.include_source={include}")
    test = folder / "runs" / "own-model-data" / "test"
    said = subprocess.run(
        [sys.executable, "-I", EXAMPLE, data, test], check=True, capture_output=True, text=True
    ).stdout
    (accuracy,) = re.findall(r"test accuracy (0\.\d+)\n", said)
    assert float(accuracy) > 0.85, "a guess is right in a tenth of all cases"


def test_the_example_has_few_lines_and_none_of_ours() -> None:
    code = EXAMPLE.read_text()
    assert len(code.splitlines()) < 60
    modules = set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE))
    assert modules <= {"io", "sys", "pathlib", "pyarrow", "torch", "PIL"}


@pytest.mark.parametrize("format", ["parquet", "webdataset"])
def test_the_readme_opens_a_data_set(
    export: Callable[..., Path], format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    datasets.disable_progress_bars()
    (tmp_path / "runs" / "distill").mkdir(parents=True)
    (tmp_path / "runs" / "distill" / "dataset").symlink_to(export(f"export.format={format}"))
    monkeypatch.chdir(tmp_path)
    (section,) = SECTION.findall((ROOT / "README.md").read_text())
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    other = {"parquet": ".tar", "webdataset": ".parquet"}[format]
    ours = [block for block in blocks if other not in block]
    assert len(ours) == {"parquet": 3, "webdataset": 2}[format]
    for block in ours:
        _check(run(block))


def run(block: str) -> dict[str, Any]:
    """The names that a block leaves behind."""
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)
    return names


def _check(names: dict[str, Any]) -> None:
    """What a block has found: 600 samples of 8x8 pixels and 10 logits."""
    if "load_dataset" in names:
        features = names["data"].features
        assert len(names["data"]) == 600
        assert {type(feature).__name__ for feature in features.values()} >= {"Image", "ClassLabel", "List"}
    elif "pl" in names:
        assert (len(names["data"]), len(names["mined"])) == (600, 400)
    elif "ds" in names:
        assert names["shards"].count_rows() == 600 and names["batch"]["teacher_logits"][0].type.list_size == 10
    else:
        assert names["image"].shape == (8, 8) and names["logits"].shape == (10,)
        assert set(names["climb"]) >= {"origin", "parent_key", "gap_after"}


@pytest.mark.parametrize("arguments", [[], ["nowhere", "test"]], ids=["none", "no data set"])
def test_the_example_says_what_it_needs(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, EXAMPLE, *arguments], capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert ("export.format" if arguments else "usage:") in done.stderr
