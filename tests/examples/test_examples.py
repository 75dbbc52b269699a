"""The examples of the README: prepared and run as they stand, in a copy of their folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import main
from schemas.config import load_config

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def examples(tmp_path):
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples"))


@pytest.mark.parametrize(("name", "figure", "at_least"), [("own_model", "agreement", 0.6), ("own_data", "r2", 0.2)])
def test_prepared_and_run(examples, capfd, name, figure, at_least):
    pytest.importorskip("sklearn")
    subprocess.run([sys.executable, examples / f"{name}.py"], check=True)
    config = str(examples / f"{name}.toml")
    assert main(["run", config, "--direct", "--quiet", "--json", "--set", "train.steps=1000"]) == 0
    result = json.loads(capfd.readouterr().out)
    assert result["evaluation"][figure] > at_least


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_configs_are_valid(path):
    load_config(path)


@pytest.mark.parametrize("name", ["own_model", "own_data"])
def test_the_readme_shows_what_lies_in_the_folder(name):
    readme = (EXAMPLES.parent / "README.md").read_text()
    assert (EXAMPLES / f"{name}.toml").read_text().strip() in readme
