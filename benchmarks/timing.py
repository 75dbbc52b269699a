"""Times of several ways to do the same, taken in turn, so that what the machine does besides meets all of them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Seconds = dict[str, list[float]]


def in_turn(
    calls: Mapping[str, Callable[[], object]], rounds: int, sync: Callable[[], object] = lambda: None
) -> Seconds:
    """Seconds of each call in each of `rounds` rounds A B C A B C ..., after one round that does not count.

    Args:
        calls: by name.
        rounds: at least 1.
        sync: waits until a device has done what was asked of it.
    """

    def taken(call: Callable[[], object]) -> float:
        sync()
        start = time.perf_counter()
        call()
        sync()
        return time.perf_counter() - start

    return told_in_turn({name: partial(taken, call) for name, call in calls.items()}, rounds)


def told_in_turn(calls: Mapping[str, Callable[[], float]], rounds: int) -> Seconds:
    """The same of calls that return their seconds, as those do of which not all counts."""
    seconds: Seconds = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            taken = call()
            if round_:
                seconds[name].append(taken)
    return seconds


@contextmanager
def in_processes(makers: Mapping[str, Callable[[], Callable[[], object]]]) -> Iterator[dict[str, Callable[[], object]]]:
    """Calls that are made each in a process of its own, where one must not see what another sets for its process.

    Args:
        makers: by name; each is sent to its process, which makes the call there.
    """
    context, calls = get_context("spawn"), {}
    with ExitStack() as stack:
        for name, maker in makers.items():
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=[theirs, maker], daemon=True)
            process.start()
            stack.callback(process.kill)
            theirs.close()
            ours.recv()
            calls[name] = partial(_ask, ours)
        yield calls


def _serve(connection: Connection, maker: Callable[[], Callable[[], object]]) -> None:
    call = maker()
    while True:
        connection.send(None)
        connection.recv()
        call()


def _ask(connection: Connection) -> None:
    connection.send(None)
    connection.recv()


def ratio(seconds: Seconds, slow: str, fast: str) -> float:
    """How many times as long the median of one takes as that of the other."""
    return statistics.median(seconds[slow]) / statistics.median(seconds[fast])


def save(output: Path, report: Mapping[str, Any]) -> None:
    """Write what was measured as JSON."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n")


def show(rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table, of which the first row has the heads."""
    heads, *lines = rows
    table = Table(*heads, title=title)
    for line in lines:
        table.add_row(*line)
    Console().print(table)


def markdown(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The same as a table of a page."""
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def place(text: str, found: dict[str, str], page: str = "scale") -> str:
    """The page with each table between its markers."""
    for name, table in found.items():
        begin, end = f"<!-- {page}:{name} -->\n", f"<!-- /{page}:{name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"no one place for the table {name}")
        head, rest = text.split(begin)
        text = head + begin + table + "\n" + end + rest.partition(end)[2]
    return text


@contextmanager
def stopwatch(file: Path) -> Iterator[Callable[[], float]]:
    """Wall-clock seconds of what is done within; what is broken off and taken up again takes the sum."""
    begin = time.perf_counter()
    try:
        yield lambda: float(file.read_text())
    finally:
        before = float(file.read_text()) if file.exists() else 0.0
        file.write_text(f"{before + time.perf_counter() - begin:.1f}\n")


def machine(*packages: str) -> dict[str, Any]:
    """What a measurement depends on: the machine, its threads, and versions."""
    import torch

    found = {"platform": platform.platform(), "processor": _processor(), "cores": os.cpu_count()}
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return {**found, "threads": torch.get_num_threads(), **{name: version(name) for name in ("torch", *packages)}}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
