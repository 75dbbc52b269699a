"""Reading ahead: what lies on a remote store is fetched in the background while other parts are decoded or trained on.

The threads are daemons: nobody who stops waits for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

from pipeline.artifacts.promised import PromisedFile
from pipeline.background import begin
from pipeline.shards.parts import Decode, Part, RemotePart
from pipeline.shards.rows import Rows

PARTS = 4
"""Fetched at the same time, at most."""

BYTES = 2**28
"""That these take, at most; a larger part is fetched when its turn comes."""


def read_ahead(parts: Sequence[Part]) -> Iterator[Rows]:
    """The rows of all parts, in order. What fetching a part raises is raised in its turn."""
    sizes = [part.remote_bytes if isinstance(part, RemotePart) else 0 for part in parts]
    waiting = deque(index for index, size in enumerate(sizes) if size)
    running: dict[int, Future[Decode]] = {}

    def begin_more(now: int | None = None) -> None:
        while waiting and len(running) < PARTS:
            index = waiting[0]
            if index != now and sum(sizes[other] for other in running) + sizes[index] > BYTES:
                return
            part = parts[waiting.popleft()]
            assert isinstance(part, RemotePart)
            running[index] = begin(part.fetch, "bpkd-read-ahead")

    def take(index: int) -> Rows:
        begin_more(index)
        decode = running.pop(index).result() if index in running else parts[index].rows
        begin_more()
        return decode()

    return map(take, range(len(parts)))


class CopyAhead:
    """Brings the files of parts into the cache on the local disk, as many as take half of it, so that what is used now
    stays there. What fails is left to whoever reads the part."""

    def __init__(self, parts: Sequence[Part]) -> None:
        files = [part.promised for part in parts if isinstance(part, RemotePart)]
        self._waiting = deque(_fitting(file for file in files if not file.copied()))
        for _ in range(min(PARTS, len(self._waiting))):
            begin(self._copy, "bpkd-copy-ahead")

    def stop(self) -> None:
        """Begin no more files."""
        self._waiting.clear()

    def _copy(self) -> None:
        while True:
            try:
                self._waiting.popleft().read()
            except IndexError:
                return
            except Exception:
                self.stop()


def _fitting(files: Iterator[PromisedFile]) -> Iterator[PromisedFile]:
    size = 0
    for file in files:
        size += file.entry.bytes
        if file.copies is None or size > file.copies.limit // 2:
            return
        yield file
