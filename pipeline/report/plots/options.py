"""What plots have in common: a plot is an option of Apache ECharts, with a text and a table that say the same.

A colour is the name of a variable in the page's style sheet, so that a plot follows it into dark mode and onto paper.
Nothing is told by colour alone: lines have their own dashes and symbols, bars their own patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

OWN, OTHER, TEXT, FAINT, PAGE = "--own", "--other", "--text", "--line", "--page"

ROWS = 200
"""That a table shows, at most."""

BESIDE_BARS = 60
"""Pixels to the right of bars, for the label of the longest."""


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        id: in the page.
        summary: what it shows, in a sentence or two.
        option: for ECharts.
        columns, rows: the table of the same.
        height: pixels.
    """

    id: str
    summary: str
    option: dict[str, Any]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    height: int = 320


def option_of(
    x: dict[str, Any], y: dict[str, Any], series: list[dict[str, Any]], *, legend: bool = True
) -> dict[str, Any]:
    option: dict[str, Any] = {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"color": TEXT, "fontFamily": "inherit"},
        "grid": {"left": 12, "right": 24, "top": 44 if legend else 16, "bottom": 12},
        "tooltip": {"trigger": "axis", "confine": True, "axisPointer": {"type": "line" if legend else "shadow"}},
        "xAxis": x,
        "yAxis": y,
        "series": series,
    }
    if legend:
        option["legend"] = {"top": 0, "textStyle": {"color": TEXT}, "itemWidth": 36}
    return option


def axis(name: str = "", *, log: bool = False) -> dict[str, Any]:
    return {
        "type": "log" if log else "value",
        "name": name,
        "nameLocation": "middle",
        "nameGap": 30,
        "nameTextStyle": {"color": TEXT},
        "axisLabel": {"color": TEXT, "hideOverlap": True, "lineHeight": 15},
        "axisTick": {"lineStyle": {"color": TEXT}},
        "axisLine": {"lineStyle": {"color": TEXT}},
        "splitLine": {"lineStyle": {"color": FAINT}},
    }


def line_of(
    name: str,
    data: list[Any],
    colour: str,
    *,
    symbol: str = "circle",
    size: Any = 6,
    width: int = 2,
    silent: bool = False,
) -> dict[str, Any]:
    line: dict[str, Any] = {"type": "line", "name": name, "data": data, "symbol": symbol, "symbolSize": size}
    line |= {"showSymbol": True, "lineStyle": {"color": colour, "width": width}, **coloured(colour)}
    return line | ({"silent": True, "tooltip": {"show": False}} if silent else {})


def coloured(name: str, *, decal: bool = False) -> dict[str, Any]:
    style: dict[str, Any] = {"color": name}
    if decal:
        style["decal"] = {
            "symbol": "rect",
            "dashArrayX": [1, 0],
            "dashArrayY": [2, 5],
            "rotation": -0.8,
            "color": "--page",
        }
    return {"itemStyle": style}
