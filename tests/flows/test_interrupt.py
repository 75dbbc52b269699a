"""However a run ends, it leaves no server behind. Ctrl-C in a terminal reaches every process of it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

SCRIPT = """
import os, sys, time, types
import flows.lost
flows.lost.EVERY, flows.lost.REFUSED = 0.1, 0.5
from cli.main import entry

def cache(config, **inputs):
    print("working", flush=True)
    time.sleep(600)

module = types.ModuleType("pipeline.stages.cache")
module.cache = cache
sys.modules[module.__name__] = module
sys.argv[:] = ["bpkd", "run", sys.argv[1]]
entry()
"""
STARTING = "starting Prefect; bpkd run --direct does the same without it"
CONFIG = 'run.output = "out"\ndata.train = "t"\nteacher.factory = "zoo:mlp"\nstudent.factory = "zoo:mlp"\n'


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prefect")]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in the middle of its first stage."""
    (tmp_path / "c.toml").write_text(CONFIG)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "c.toml")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        yield process


def test_ctrl_c_ends_the_run_and_its_server(run: subprocess.Popen[str]) -> None:
    children = psutil.Process(run.pid).children(recursive=True)
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate()
    assert run.returncode == 130
    said = [line for line in err.splitlines() if line]  # click ends the line in which a terminal shows ^C
    assert said == [STARTING, "interrupted; run the same command again to resume"]
    assert not [child for child in children if child.is_running()]
    with pytest.raises(ProcessLookupError):  # nothing is left in its group
        os.killpg(run.pid, 0)


def test_a_run_whose_server_has_gone_says_so_and_ends(run: subprocess.Popen[str]) -> None:
    (server,) = (child for child in psutil.Process(run.pid).children() if "uvicorn" in child.cmdline())
    server.kill()
    _, err = run.communicate()
    assert run.returncode == 1
    started, said = (line for line in err.splitlines() if line)
    assert started == STARTING
    assert said.startswith("error: the Prefect server at http://127.0.0.1:")
    assert said.endswith("or go on without Prefect: bpkd run --direct")


def test_a_run_that_is_killed_takes_its_server_with_it(run: subprocess.Popen[str]) -> None:
    children = psutil.Process(run.pid).children(recursive=True)
    assert any("uvicorn" in child.cmdline() for child in children)
    run.kill()
    assert psutil.wait_procs(children, timeout=30)[1] == []
