"""The errors that a user meets. Their text is one line: what was found, where, and what would be right."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


class BpkdError(Exception):
    """The work failed for a reason outside the user's input."""

    exit_code = 1


class TransientError(BpkdError):
    """A store or a worker failed in a way that may pass by itself; the same again later may succeed."""


class UserError(BpkdError):
    """The user's input is wrong; running it again without a change fails again."""

    exit_code = 2


class SampleError(Exception):
    """One sample cannot be used; it is recorded with this reason and the rest goes on."""


class RowError(SampleError, ValueError):
    """One of many samples cannot be used: `row` is its number, from 0."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")
        self.row = row
        self.reason = reason


def unknown(what: str, name: str, takes: Sequence[str], more: str = "") -> str:
    """Of a name that is none of those that a setting takes, with the nearest of them; `more` is taken besides."""
    close = get_close_matches(name, takes, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {name!r}{hint} (takes {', '.join(takes)}{more})"


def counted(count: int, noun: str) -> str:
    """For example `1 file`, `1,200 files`."""
    return f"{count:,} {noun}{'s'[: count != 1]}"


def clipped(text: str, limit: int = 100) -> str:
    """Text from a file that anyone may have made, for a message: one line, printable, not too long."""
    line = " ".join(text[: 4 * limit].split())
    line = line if line.isprintable() else ascii(line)[1:-1]
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 3]}..."
