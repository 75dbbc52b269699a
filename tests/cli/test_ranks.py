"""Of several processes of one command the first speaks for all."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from pipeline.work.launch import ElsewhereError, RankError
from schemas.errors import BpkdError, UserError


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`as_rank(1, local=0)`: from now on this process is one of two, in its own or one machine."""

    def become(index: int, local: int | None = None) -> None:
        values = {"WORLD_SIZE": 2, "RANK": index, "LOCAL_RANK": index if local is None else local}
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))

    return become


def ranks_own(error: Exception) -> RankError:
    wrapped = RankError("rank 1: ...")
    wrapped.__cause__ = error
    return wrapped


@pytest.mark.parametrize(
    ("index", "local", "error", "code", "line"),
    [
        (0, 0, UserError("wrong"), 2, "error: wrong"),
        (0, 0, BpkdError("another rank has ended"), 1, "error: another rank has ended"),
        (0, 0, KeyboardInterrupt(), 130, "interrupted; run the same command again to resume"),
        (1, 1, UserError("what rank 0 has met too"), 2, ""),
        (1, 0, UserError("on another machine"), 2, "rank 1: error: on another machine"),
        (1, 1, KeyboardInterrupt(), 130, ""),
        (1, 0, KeyboardInterrupt(), 130, ""),
        (1, 0, ElsewhereError("rank 0 has failed", 2), 2, ""),
        (1, 1, ranks_own(UserError("mine")), 2, "rank 1: error: mine"),
        (1, 1, ranks_own(ValueError("a\nb")), 1, "rank 1: error: ValueError: a b; run again with --debug for the"),
    ],
)
def test_an_error_is_told_once(
    bpkd: Any, stages: Any, config_file: Any, as_rank: Any, index: int, local: int, error: Any, code: int, line: str
) -> None:
    as_rank(index, local)
    stages.results["train"] = error
    said = bpkd("train", config_file)
    assert said.code == code
    assert said.err.strip().startswith(line) and len(said.err.strip().splitlines()) == bool(line)


def test_the_result_is_printed_by_the_first_alone(bpkd: Any, stages: Any, config_file: Any, as_rank: Any) -> None:
    as_rank(0)
    assert json.loads(bpkd("train", config_file, "--json").out)["artifact"] == "student"
    as_rank(1)
    before = logging.root.manager.disable
    said = bpkd("train", config_file, "--json")
    assert (said.code, said.out, said.err) == (0, "", "")
    assert logging.root.manager.disable == before


@pytest.mark.parametrize("command", ["run", "cache", "evaluate"])
def test_other_commands_are_refused_once(bpkd: Any, stages: Any, config_file: Any, as_rank: Any, command: str) -> None:
    for index in range(2):
        as_rank(index)
        said = bpkd(command, config_file)
        assert said.code == 2 and stages.calls == []
        expected = f"error: torchrun and accelerate launch are for `bpkd train`; start `bpkd {command}` as one process"
        assert said.err.startswith(expected) if index == 0 else said.err == ""
