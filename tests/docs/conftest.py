"""The site, built once."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT


@pytest.fixture
def bucket(s3: Any) -> None:
    """The S3 bucket that pages call `bucket`."""
    urllib.request.urlopen(urllib.request.Request(f"{s3.address}/bucket", method="PUT")).close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `mkdocs build --strict` has written it."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    folder: Path = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
