"""Commands and configs in all pages, also in those that are not followed: the command line and the schema know them."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from schemas.errors import UserError
from tests.docs.blocks import (
    PAGES,
    ROOT,
    RUN,
    Block,
    Place,
    blocks,
    bpkd_calls,
    check_call,
    check_config,
    check_script,
    script_calls,
)

LANGUAGES = {"sh", "console", "python", "toml", "csv", "text"}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@every_page
def test_commands_parse(page: Path) -> None:
    for block in blocks(page):
        for call in bpkd_calls(block) if block.language == "sh" else ():
            try:
                check_call(call)
            except click.UsageError as error:
                pytest.fail(f"{block}: bpkd {' '.join(call)}: {error.format_message()}")


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "performance.md", ROOT / "docs" / "scale.md"])
def test_scripts_are_there_and_take_their_options(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    calls = [call for block in blocks(page) if block.language == "sh" for call in script_calls(block)]
    assert calls
    for call in calls:
        check_script(call)


@every_page
def test_configs_are_valid(page: Path) -> None:
    for block in blocks(page):
        if block.language == "toml" and not block.included:
            try:
                check_config(block.text)
            except UserError as error:
                pytest.fail(f"{block}: {error}")


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_what_is_not_run_says_where_it_would(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, block
        if block.language == "sh" and block.title:
            assert block.title.startswith("on a machine "), block


# --- that the checks can fail --------------------------------------------------------------------------------------


def shell(text: str) -> Block:
    return Block(ROOT / "README.md", 1, "sh", "", text)


def test_calls_are_found_wherever_they_stand() -> None:
    text = (
        "bpkd run a.toml --set run.rounds=0   # bpkd none\n"
        "python x.py && PYTHONPATH=. bpkd mine \\\n  b.toml > c\n"
        'torchrun --nproc-per-node 4 "$(which bpkd)" train d.toml\n'
        "# bpkd none\n"
        "pip install bpkd\n"
    )
    wanted = [["run", "a.toml", "--set", "run.rounds=0"], ["mine", "b.toml"], ["train", "d.toml"]]
    assert bpkd_calls(shell(text)) == wanted


@pytest.mark.parametrize(
    "call",
    ["runn a.toml", "run a.toml --rounds 3", "run", "push data", "report a b", "plan a.toml --workers none"],
)
def test_a_wrong_call_is_refused(call: str) -> None:
    with pytest.raises(click.UsageError):
        check_call(call.split())


def test_a_wrong_script_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    assert script_calls(shell("pip install x\npython benchmarks/decoding.py --quick  # fast\n")) == [
        ["benchmarks/decoding.py", "--quick"]
    ]
    with pytest.raises(click.UsageError):
        check_script(["benchmarks/decoding.py", "--quicker"])
    with pytest.raises(AssertionError):
        check_script(["benchmarks/nothing.py"])


def test_a_wrong_key_is_refused() -> None:
    with pytest.raises(AssertionError):
        check_call(["run", "a.toml", "--set", "mine.step=3"])
    with pytest.raises(UserError):
        check_config("[mine]\nstep = 3")


def test_a_block_that_fails_or_prints_something_else_is_found(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.prepare()
    with pytest.raises(AssertionError):
        place.follow(shell("false\ntrue"))
    with pytest.raises(AssertionError):
        place.follow(shell("bpkd inspect nothing-here"))
    place.follow(shell("echo 12 words"))
    place.follow(Block(ROOT, 1, "text", "", "13 words"))
    with pytest.raises(AssertionError):
        place.follow(Block(ROOT, 1, "text", "", "12 other words"))
