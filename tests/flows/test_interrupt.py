"""Ctrl-C in a terminal reaches every process of a run at once; it ends, and leaves no server behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, sys, time, types
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


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_ctrl_c_ends_the_run_and_its_server(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    run = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "c.toml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "working\n"
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate()
    assert run.returncode == 130
    said = [line for line in err.splitlines() if line]  # click ends the line in which a terminal shows ^C
    assert said == [STARTING, "interrupted; run the same command again to resume"]
    with pytest.raises(ProcessLookupError):  # nothing is left in its group
        os.killpg(run.pid, 0)
