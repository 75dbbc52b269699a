"""Registries: names are checked without an import, and code is built with the options that it takes."""

from __future__ import annotations

import pytest

from schemas.errors import UserError
from schemas.registry import Registry

FRUIT = Registry(
    "fruit",
    {
        "apple": "fractions:Fraction",
        "pear": "textwrap:TextWrapper",
        "ghost": "no_such_module_anywhere:Thing",
        "hollow": "fractions:NoSuchThing",
    },
)


@pytest.mark.parametrize("name", ["apple", "ghost", "own.module:Thing"])
def test_a_known_name_or_own_code_passes(name: str) -> None:
    assert FRUIT.check(name) == name


@pytest.mark.parametrize(
    ("name", "part"),
    [("aple", "did you mean 'apple'?"), ("xyz", "takes apple, pear, ghost, hollow, or package.module")],
)
def test_an_unknown_name_lists_the_known_ones(name: str, part: str) -> None:
    with pytest.raises(ValueError, match="unknown fruit") as caught:
        FRUIT.check(name)
    assert part in str(caught.value)


def test_build_gives_options_and_what_is_taken_of_the_common_ones() -> None:
    wrapper = FRUIT.build("pear", {"width": 7}, tabsize=2, nonsense=1)
    assert (wrapper.width, wrapper.tabsize) == (7, 2)


def test_options_win_over_common_ones() -> None:
    assert FRUIT.build("pear", {"width": 7}, width=9).width == 7


def test_own_code_is_loaded() -> None:
    assert FRUIT.build("fractions:Fraction", {"numerator": 3}) == 3


@pytest.mark.parametrize(
    ("name", "options", "part"),
    [
        ("aple", {}, "unknown fruit 'aple'"),
        ("ghost", {}, "fruit 'ghost' cannot be imported: No module named 'no_such_module_anywhere'"),
        ("hollow", {}, "fruit 'hollow' cannot be imported"),
        ("own_no_such:Thing", {}, "cannot be imported"),
        ("pear", {"wdith": 1}, "fruit 'pear' does not take 'wdith' (takes break_long_words"),
    ],
)
def test_what_cannot_be_built_is_the_users_to_mend(name: str, options: dict[str, int], part: str) -> None:
    with pytest.raises(UserError) as caught:
        FRUIT.build(name, options)
    assert part in str(caught.value)
