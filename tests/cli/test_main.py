"""The `bpkd` command: quick help, exit codes, one line per error."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from cli.main import COMMANDS
from schemas.errors import BpkdError, UserError
from schemas.registry import FORMATS

SCRIPT = "import sys; from cli.main import main; code = main(sys.argv[1:]); "


def test_help_imports_nothing_heavy() -> None:
    check = "print(sorted({'torch', 'polars', 'pyarrow', 'prefect', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", SCRIPT + check, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("format", FORMATS.names)
def test_verify_imports_no_torch(write_dataset: Callable[..., None], tmp_path: Path, format: str) -> None:
    write_dataset(str(tmp_path / "data"), format)
    check = "print(code, 'torch' in sys.modules)"
    command = [sys.executable, "-c", SCRIPT + check, "verify", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"


def test_help_of_plan_imports_no_torch() -> None:
    """Though its defaults are those of the planning itself."""
    check = "print('torch' in sys.modules)"
    command = [sys.executable, "-c", SCRIPT + check, "plan", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_help_lists_every_command(bpkd: Any) -> None:
    said = bpkd("--help")
    assert said.code == 0
    for name, (_, text) in COMMANDS.items():
        assert f"  {name} " in said.out
        assert text in said.out


def test_no_command_shows_the_help(bpkd: Any) -> None:
    assert bpkd().out == bpkd("--help").out


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=["bpkd", *COMMANDS])
def test_every_help_ends_with_an_example(bpkd: Any, arguments: list[str]) -> None:
    said = bpkd(*arguments, "--help")
    assert said.code == 0
    _, found, lines = said.out.partition("Example:\n")
    assert found
    assert all(line.strip().startswith("bpkd ") for line in lines.strip().splitlines())


def test_version(bpkd: Any) -> None:
    assert bpkd("--version").out.startswith("bpkd, version ")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("c.toml: wrong"), 2, "error: c.toml: wrong"),
        (BpkdError("out of luck"), 1, "error: out of luck"),
        (RuntimeError("a\nb"), 1, "error: RuntimeError: a b; run again with --debug for the traceback"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to resume"),
        (click.Abort(), 130, "interrupted; run the same command again to resume"),
        (click.ClickException("odd"), 1, "error: odd"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_is_one_line_and_an_exit_code(
    bpkd: Any, stages: Any, config_file: Any, error: BaseException, code: int, line: str
) -> None:
    stages.results["cache"] = error
    said = bpkd("cache", config_file)
    assert said.code == code
    assert said.err.strip() == line
    assert said.out == ""


def test_resuming_a_restart_is_without_restart(bpkd: Any, stages: Any, config_file: Any) -> None:
    stages.results["cache"] = KeyboardInterrupt()
    assert "again but without --restart to resume" in bpkd("cache", config_file, "--restart").err


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("error", [UserError("wrong"), RuntimeError("wrong")])
def test_debug_shows_the_traceback_wherever_it_stands(
    bpkd: Any, stages: Any, config_file: Any, error: Exception, place: int
) -> None:
    stages.results["cache"] = error
    arguments = ["cache", str(config_file), "--json"]
    arguments.insert(place, "--debug")
    said = bpkd(*arguments)
    assert "Traceback (most recent call last)" in said.err
    assert said.err.splitlines()[-1].endswith("wrong")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["rnu"], ["no command 'rnu'", "did you mean 'run'?", "init, plan, run"]),
        (["run"], ["Missing argument 'CONFIG'", "see bpkd run --help"]),
        (["run", "--quit", "c.toml"], ["--quit", "see bpkd run --help"]),
        (["--nonsense"], ["--nonsense", "see bpkd --help"]),
        (["init", "--kind", "sound"], ["sound", "image", "array"]),
        (["run", "no/such.toml"], ["no/such.toml: no such config file"]),
    ],
)
def test_wrong_usage_is_one_line_and_exits_2(bpkd: Any, arguments: list[str], parts: list[str]) -> None:
    said = bpkd(*arguments)
    assert said.code == 2
    assert len(said.err.splitlines()) == 1
    for part in ["error: ", *parts]:
        assert part in said.err


def test_termination_ends_like_an_interrupt(bpkd: Any, stages: Any, config_file: Any, monkeypatch: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def stage(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(sys.modules["pipeline.stages.cache"], "cache", stage)
    assert bpkd("cache", config_file).code == 130
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_reader_that_leaves_is_no_error_worth_words() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", f"{SCRIPT} sys.exit(code)", "--help"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_what_all_have(bpkd: Any, name: str) -> None:
    said = bpkd(name, "--help")
    assert said.code == 0
    assert re.search(rf"Example:\n    bpkd {name}\b", said.out)
    for option in ("--json", "--quiet", "--debug"):
        assert f"  {option} " in said.out


@pytest.mark.parametrize(
    ("words", "completed"),
    [("bpkd ev", "plain,evaluate\n"), ("bpkd plan --work", "plain,--workers\n"), ("bpkd run my", "file,my\n")],
)
def test_completion_of_the_shell(words: str, completed: str) -> None:
    environment = {"_BPKD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    code = "import sys; from cli.main import entry; entry()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout == completed
