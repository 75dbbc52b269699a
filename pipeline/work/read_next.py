"""Reading the next shard's samples while one is worked on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Generic, TypeVar

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

    def __call__(self, index: int) -> T:
        """What belongs to `index`; raises what reading it raises."""
        with self._lock:
            begun = self._begun.pop(index, None)
            follows, self._last = index == self._last + 1, index
        value = self._read(index) if begun is None else begun.result()
        if follows and index + 1 < self._count:
            self._begin(index + 1)
        return value

    def _begin(self, index: int) -> None:
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(self._read(index))
            except BaseException as error:
                future.set_exception(error)

        with self._lock:
            self._begun = {index: future}  # one at a time: what was begun in vain is let go
        # A daemon: nobody who stops waits for it.
        Thread(target=run, name="bpkd-read-next", daemon=True).start()
