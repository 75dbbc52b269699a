"""Exceptions of other people's code, made short enough for a message of one line."""

from __future__ import annotations


def one_line(error: BaseException) -> str:
    """`Type: first line of the text`, at most 300 characters of it."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
