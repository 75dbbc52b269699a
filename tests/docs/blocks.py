"""Code in Markdown pages: the blocks, the `bpkd` commands in them, and a folder in which a page's blocks are run.

What a block is for its info string says:

    ```sh                         is run
    ```sh title="on a cluster"    runs only there; its bpkd commands have to parse
    ```python                     is run, all of a page in one namespace, as in a notebook
    ```toml                       is a part of a config, and has to be valid
    ```python title="code.py"     is a file of that name in the page's folder; toml and csv as well
    ```text                       is what the block before it prints, but for the numbers
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from cli.main import bpkd, main
from cli.settings import Settings
from schemas.config import Config, parse_config

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUN = sorted([*DOCS.glob("tutorials/*.md"), *DOCS.glob("how-to/*.md")])
"""Pages whose blocks are run."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

STEPS = 60
"""Optimiser steps of a training in a test, where a page says more."""

_FENCE = re.compile(r"^```([a-z]+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENTRY = "import sys; sys.path.insert(0, {root!r}); from cli.main import entry; entry()"


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, number of its first line, language, title ("" for none) and text."""

    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def included(self) -> bool:
        """Whether it only names a file, which has tests of its own."""
        return self.text.startswith('--8<-- "')


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        title = re.search(r'title="([^"]*)"', match[2])
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, match[1], title[1] if title else "", match[3]))
    return found


# --- commands ------------------------------------------------------------------------------------------------------


def lines(block: Block) -> list[str]:
    """Command lines of a block, those that end in a backslash joined."""
    joined = block.text.replace("\\\n", " ").splitlines()
    return [line for line in joined if line.strip() and not line.startswith("#")]


def bpkd_calls(block: Block) -> list[list[str]]:
    """The arguments of every call of `bpkd`, also of one under torchrun."""
    calls = []
    for line in lines(block):
        words = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        words.whitespace_split, words.commenters = True, "#"
        for command in _split(list(words)):
            starts = [number for number, word in enumerate(command) if word in ("bpkd", "$(which bpkd)")]
            if (starts and all("=" in word for word in command[: starts[0]])) or "$(which bpkd)" in command:
                calls.append(command[starts[0] + 1 :])
    return calls


def script_calls(block: Block) -> list[list[str]]:
    """The words after `python` of every call of a file of this repository."""
    calls = (shlex.split(line, comments=True) for line in lines(block))
    return [words[1:] for words in calls if words[0] == "python" and words[1].endswith(".py")]


def check_script(arguments: list[str]) -> None:
    """Make sure that a file is there and, of a benchmark, that it takes the options."""
    path = ROOT / arguments[0]
    assert path.is_file(), f"{arguments[0]} is not there"
    if path.parent.name == "benchmarks" and "main" in (module := vars(import_module(path.stem))):
        assert isinstance(module["main"], click.Command)
        module["main"].make_context(path.name, arguments[1:])


def _split(words: list[str]) -> Iterator[list[str]]:
    """The commands of a line, without what is redirected."""
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("|&;<>"):
            yield command
            command = []
        else:
            command.append(word)


def check_call(arguments: list[str]) -> None:
    """Parse a call of `bpkd` as the command line would, without doing what it says.

    Raises:
        click.UsageError: a command, option or argument is wrong.
        AssertionError: `--set` names no key of a config.
    """
    context = bpkd.make_context("bpkd", list(arguments[:1]) if arguments[:1] != ["--help"] else [], obj=Settings())
    name, command, _ = bpkd.resolve_command(context, list(arguments[:1]))
    assert command is not None
    parsed = command.make_context(name, list(arguments[1:]), parent=context)
    for override in parsed.params.get("overrides", ()):
        section, _, key = override.partition("=")[0].partition(".")
        known = Config.model_fields[section].annotation
        assert key.partition(".")[0] in known.model_fields, f"--set {override}: no such key"  # type: ignore[union-attr]


# --- configs -------------------------------------------------------------------------------------------------------

_LEAST: dict[str, dict[str, Any]] = {
    "run": {"output": "o"},
    "data": {"train": "t"},
    "teacher": {"factory": "zoo:mlp"},
    "student": {"factory": "zoo:mlp"},
}


def check_config(text: str) -> None:
    """Raise UserError where a part of a config would be refused; what it lacks is filled in."""
    values = tomllib.loads(text)
    if "student" in values and "layers" in values["student"] and "factory" not in values["student"]:
        values.setdefault("teacher", {}).setdefault("factory", "hf:x")
        least = {**_LEAST, "student": {}}
    else:
        least = _LEAST
    parse_config({name: {**least.get(name, {}), **values.get(name, {})} for name in {**least, **values}})


def fewer_steps(text: str) -> str:
    """A config with no more optimiser steps than a test has time for."""
    return re.sub(r"^steps = \d{3,}", f"steps = {STEPS}", text, flags=re.MULTILINE)


# --- running -------------------------------------------------------------------------------------------------------


_made: dict[str, Path] = {}
"""What `python examples/NAME.py` has left in runs/, so that it is called once for all pages."""


@dataclass
class Place:
    """A folder that stands for a clone of the repository in which somebody follows a page.

    Attributes:
        folder: the current directory; has a copy of examples/.
        printed: by the last block that was run.
    """

    folder: Path
    printed: str = ""
    _names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def prepare(self) -> None:
        """Put the examples and the programs there."""
        shutil.copytree(ROOT / "examples", self.folder / "examples")
        for path in (self.folder / "examples").rglob("*.toml"):
            path.write_text(fewer_steps(path.read_text()))
        programs = self.folder / ".bin"
        programs.mkdir()
        called = {"bpkd": ["-P", "-c", _ENTRY.format(root=str(ROOT))], "python": []}
        for name, arguments in called.items():
            line = shlex.join([sys.executable, *arguments])
            (programs / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
            (programs / name).chmod(0o755)

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        if block.included:
            return
        if block.language == "text":
            assert _masked(self.printed, self.folder) == _masked(block.text, self.folder), block
        elif block.title and block.language != "sh":
            text = fewer_steps(block.text) if block.language == "toml" else block.text
            (self.folder / block.title).write_text(text)
        elif block.language == "python":
            self.printed = self._run_python(block)
        elif block.language == "sh" and not block.title:
            self.printed = "".join(self._run_line(line, block) for line in lines(block))

    def _run_python(self, block: Block) -> str:
        with redirect_stdout(io.StringIO()) as out:
            exec(compile(block.text, str(block), "exec"), self._names)
        return out.getvalue()

    def _run_line(self, line: str, block: Block) -> str:
        words = shlex.split(line, comments=True)
        if words[0] == "bpkd" and not set("|&;<>") & {*line}:  # in this process, which has imported torch already
            with redirect_stdout(io.StringIO()) as out:
                code = main([*words[1:], "--quiet"])
            assert code == 0, f"{block}: {line}"
            return out.getvalue()
        prepared = re.fullmatch(r"python examples/(\w+)\.py", line)
        if prepared and line in _made:  # by another page, whose clone was the same
            shutil.copytree(_made[line], self.folder / "runs", dirs_exist_ok=True)
            return ""
        path = f"{self.folder / '.bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line], env=environment, cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}: {line}\n{done.stderr}"
        if prepared:
            _made[line] = Path(
                shutil.copytree(self.folder / "runs", tempfile.mkdtemp(dir=self.folder), dirs_exist_ok=True)
            )
        return done.stdout


def _masked(text: str, folder: Path) -> list[str]:
    """Words of each line, numbers as 0."""
    text = text.replace(str(folder.resolve()), "/home/you").replace(str(folder), "/home/you")
    return [" ".join(re.sub(r"\d[\d.,]*", "0", line).split()) for line in text.strip().splitlines()]
