"""Ctrl-C ends a command also where the interrupt itself is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys, time, types
from cli.main import entry

def cache(config, **inputs):
    print("working", flush=True)
    while True:
        try:
            time.sleep(600)
        except BaseException:
            {reaction}

module = types.ModuleType("pipeline.stages.cache")
module.cache = cache
sys.modules[module.__name__] = module
sys.argv[:] = ["bpkd", "cache", sys.argv[1]]
entry()
"""
CONFIG = 'run.output = "out"\ndata.train = "t"\nteacher.factory = "zoo:mlp"\nstudent.factory = "zoo:mlp"\n'


@pytest.mark.parametrize("reaction", ["raise", "pass", "raise RuntimeError('what a library makes of it')"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_and_says_how_to_go_on(tmp_path: Path, reaction: str, number: signal.Signals) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    command = [sys.executable, "-c", SCRIPT.format(reaction=reaction), str(tmp_path / "c.toml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error.strip() == "interrupted; run the same command again to resume"
