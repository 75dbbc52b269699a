"""Sections of README.md, so that pages show them instead of saying the same again."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def sections(text: str) -> dict[str, str]:
    """Anchor of each heading of first or second level -> what stands below it, up to the next one."""
    parts = re.split(r"^##? (.+)$", _without_code(text), flags=re.MULTILINE)[1:]
    return {slug(title): body.strip() for title, body in zip(parts[::2], map(_with_code, parts[1::2]), strict=True)}


def slug(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


# A comment of code begins with #, as a heading does.
def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", lambda block: block[0].replace("\n#", "\n\0#"), text, flags=re.MULTILINE | re.DOTALL)


def _with_code(text: str) -> str:
    return text.replace("\0#", "#")
