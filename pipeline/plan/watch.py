"""What stages take while they run: when their tasks advance, and the memory of this process and its workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

from pipeline.lazy import torch
from pipeline.work.allocator import give_back

LOOK = 0.02
"""Seconds between two looks at the memory."""


@dataclass
class Track:
    """One task of a stage.

    Attributes:
        title: of the task.
        marks: (seconds since it began, units done by then), one for every advance.
        seconds: from its begin to its end.
    """

    title: str
    marks: list[tuple[float, int]] = field(default_factory=list)
    seconds: float = 0.0
    _began: float = field(default_factory=time.perf_counter)

    def advance(self, amount: int = 1, **figures: float) -> None:
        done = self.marks[-1][1] if self.marks else 0
        self.marks.append((time.perf_counter() - self._began, done + amount))

    def skip(self, amount: int, **figures: float) -> None:
        pass

    def end(self) -> None:
        self.seconds = time.perf_counter() - self._began

    def rate(self, after: int) -> float:
        """Units per second once `after` marks are made, as what comes first is slower; of all where there are no more.

        A rate of nothing done is 0.
        """
        if not self.marks:
            return 0.0
        begin, before = self.marks[after - 1] if 0 < after < len(self.marks) else (0.0, 0)
        end, done = self.marks[-1]
        return (done - before) / max(end - begin, 1e-9)


class Watch:
    """Progress that keeps its tasks, in the order in which they were opened."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []

    @contextmanager
    def task(self, title: str, total: int, unit: str = "samples") -> Iterator[Track]:
        track = Track(title)
        self.tracks.append(track)
        try:
            yield track
        finally:
            track.end()

    def say(self, message: str) -> None:
        pass


class Peak:
    """The most memory that one process takes while this is open: this one, or a process that it has started.

    Attributes:
        bytes: resident.
        device_bytes: that torch has allocated on this process's GPU; None without one.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.device_bytes: int | None = None
        self._stop = threading.Event()
        self._looker = threading.Thread(target=self._look, name="bpkd-memory", daemon=True)

    def __enter__(self) -> Peak:
        give_back()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._looker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._looker.join()
        if torch.cuda.is_available():
            self.device_bytes = torch.cuda.max_memory_allocated()

    def _look(self) -> None:
        own = psutil.Process()
        while True:
            with suppress(psutil.Error):
                self.bytes = max(self.bytes, own.memory_info().rss)
                for child in own.children():
                    with suppress(psutil.Error):
                        self.bytes = max(self.bytes, child.memory_info().rss)
            if self._stop.wait(LOOK):
                return
