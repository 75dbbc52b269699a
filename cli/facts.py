"""Names with values, and tables, on stdout. What a data set says is taken as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from schemas.errors import clipped

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

NAMES = 16
"""Columns that the first column keeps, where its cells have as many."""

_PIPE = 10_000
"""Columns of what is no terminal: no table is as wide."""


def print_facts(facts: Mapping[str, Any], indent: str = "") -> None:
    """Name and value of what is not None."""
    known = {clipped(name, 40): clipped(str(value), 200) for name, value in facts.items() if value is not None}
    width = max(map(len, known), default=0)
    for name, text in known.items():
        click.echo(f"{indent}{name:<{width}}  {text}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of short cells, the first column to the left, the others to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    add_cells(table, columns, [[clipped(cell, 40) for cell in row] for row in rows])
    print_whole(table)


def add_cells(table: Table, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Fill a table; where it is too wide, names of columns are broken between words, and what the first one holds."""
    from rich.text import Text

    for index, name in enumerate(columns):
        widest = max(map(len, [*name.split(), *(row[index] for row in rows)]), default=0)
        justify: Literal["left", "right"] = "right" if index else "left"
        table.add_column(name, justify=justify, overflow="fold", min_width=widest if index else min(widest, NAMES))
    for row in rows:
        table.add_row(*map(Text, row))


def print_whole(table: Table) -> None:
    """Print a table without cutting it; where nobody has a screen, as wide as it is."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE
    console.print(table, crop=False)


def print_side_by_side(columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
    """A table of long cells, all of one width, broken at words."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_lines=len(rows) > 1, expand=True)
    for name in columns:
        table.add_column(name, ratio=1)
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


def is_terminal() -> bool:
    """Whether stdout can show styles."""
    from rich.console import Console

    return Console().is_terminal


def listed(names: Iterable[str], more: int) -> str:
    """Names, and how many there are besides."""
    return ", ".join(names) + (f" and {more:,} more" if more else "")


def printable(text: str) -> str:
    """All of a text on one line, without what acts on a terminal."""
    line = " ".join(text.split())
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
