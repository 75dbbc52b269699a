"""Text from anywhere is shown as it is, and is never markup."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.card.markdown import LONGEST, block, code, escaped, link, number, table

MARKDOWN = MarkdownIt("commonmark").enable("table")
HOSTILE = ["a|b", "</td><script>x</script>", "![x](y)", "*b* _c_ `d` ~~e~~", "\\|", "[a]: b", "&lt;", "a\n\n# b", "<b>"]


def cells(text: str) -> list[str]:
    """What a reader sees in the body of a table; nothing in it may be anything but text and code."""
    tokens = MARKDOWN.parse(text)
    assert tokens[0].type == "table_open" and tokens[-1].type == "table_close"
    found, body = [], False
    for token in tokens:
        body |= token.type == "tbody_open"
        if token.type == "inline" and body:
            inner: list[Any] = token.children or []
            assert {one.type for one in inner} <= {"text", "text_special", "code_inline"}
            found.append("".join(one.content for one in inner))
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_a_table(text: str) -> None:
    seen = " ".join(text.split())
    assert cells(table(["a", "b"], [[text, "last"]])) == [seen, "last"]
    assert cells(table(["a", "b"], [[code(text), "last"]]))[1] == "last"


@given(st.text(max_size=LONGEST))
def test_any_text_in_a_table(text: str) -> None:
    seen = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    assert cells(table(["a", "b"], [[text, "last"]])) == [seen, "last"]


@given(st.text("`~a\n \t", max_size=30))
def test_a_block_ends_where_it_ends(text: str) -> None:
    (only,) = MARKDOWN.parse(block(text))
    assert only.type == "fence" and "".join(only.content.split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["www.evil.example", "see WWW.evil.example", "(www.evil.example)"])
def test_an_address_without_its_protocol_is_no_link(text: str) -> None:
    """GitHub makes one of a bare `www.`; commonmark does not, so that it is told by the source."""
    assert not re.search(r"www\.", escaped(text), re.IGNORECASE)
    assert cells(table(["a", "b"], [[text, "last"]])) == [text, "last"]


def test_what_is_too_long_is_cut() -> None:
    assert len(escaped("x" * 10_000)) == LONGEST and len(code("x" * 10_000)) == LONGEST + 2


def test_numbers_and_links() -> None:
    assert number(1234567) == "1,234,567" and escaped(7) == 7
    (only,) = [one for token in MARKDOWN.parse(link("https://a.org/<b>")) for one in token.children or ()][:1]
    assert only.attrs["href"] == "https://a.org/%3Cb%3E"
