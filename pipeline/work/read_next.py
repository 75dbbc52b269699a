"""Reading the next shard's samples while one is worked on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Lock
from typing import Generic, TypeVar

from pipeline.background import begin

T = TypeVar("T")


class ReadNext(Generic[T]):
    """`read`, which has begun with what most likely comes next, and holds one more result. Several threads may call it.

    Args:
        read: what belongs to a number.
        count: of the numbers, which come in order, perhaps with gaps. Where every second one comes, as where two
            workers share them, nothing is read ahead: the workers work side by side anyway.
    """

    def __init__(self, read: Callable[[int], T], count: int) -> None:
        self._read, self._count = read, count
        self._lock = Lock()
        self._begun: dict[int, Future[T]] = {}
        self._last = -1

    def begin(self, index: int) -> Callable[[], T]:
        """What waits for what belongs to `index`, and raises what reading it raises; it is being read meanwhile."""
        with self._lock:
            future = self._begun.pop(index, None)
            follows, self._last = index == self._last + 1, index
        future = future or self._start(index)

        def wait() -> T:
            value = future.result()
            if follows and index + 1 < self._count:
                with self._lock:  # one at a time: what was begun in vain is let go
                    self._begun = {index + 1: self._start(index + 1)}
            return value

        return wait

    def _start(self, index: int) -> Future[T]:
        return begin(partial(self._read, index), "bpkd-read-next")
