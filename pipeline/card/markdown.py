"""Text that anyone may have written, as Markdown that shows it and does nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

LONGEST = 300
"""Characters of one piece of text in a card."""

_MARKS = re.compile(r"([\\`*_\[\]|~:@$])")
_WWW = re.compile(r"(?<!\w)(www)\.", re.IGNORECASE)
"""Which GitHub makes a link of, even without https://."""
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escaped(value: Any) -> Any:
    """Text on one line, without meaning to Markdown and HTML; numbers, and what is Markdown already, as they are."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = _WWW.sub(r"\1\\.", _MARKS.sub(r"\\\1", _line(value)))
    return Markup("".join(_HTML.get(sign, sign) for sign in text))


def code(value: Any) -> Markup:
    """Text as code within a line, also within a table."""
    text = _line(str(value)).replace("`", "'").replace("|", "\\|")
    return Markup(f"`{text or ' '}`")


def block(text: str) -> Markup:
    """Text as a block of code that does not end before it does."""
    shown = "".join(sign for sign in text if sign.isprintable() or sign == "\n").strip()
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return Markup(f"{fence}\n{shown}\n{fence}")


def link(url: str) -> Markup:
    """An http(s) URL that can be followed."""
    return Markup("<" + url.replace("<", "%3C").replace(">", "%3E") + ">")


def number(value: int) -> Markup:
    """1,234,567."""
    return Markup(f"{value:,}")


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markup:
    """A table; what is a number or Markdown already stays what it is."""
    lines = [header, ["---"] * len(header), *rows]
    return Markup("\n".join(f"| {' | '.join(str(escaped(cell)) for cell in line)} |" for line in lines))


def _line(text: str) -> str:
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * LONGEST]).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
