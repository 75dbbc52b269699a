"""How long work takes, told truly also when it is resumed: what was broken off has no time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.layout import TIMES, time_of
from pipeline.storage import Folder

Result = TypeVar("Result")


def timed(url: str, work: Callable[[], Result]) -> tuple[Result, float | None]:
    """Do `work`, which fills the directory `url` and resumes what it finds there.

    What it takes from an empty directory to the end is kept in a file beside the directory, so that resuming finished
    work tells the same again.

    Returns:
        What `work` returns, and its seconds; None where it was broken off and taken up again, as neither the one part
        nor the sum of both is what it takes.
    """
    parent, _, name = url.rstrip("/").rpartition("/")
    folder, record = Folder(parent), f"{name}.seconds"
    resumed = folder.exists(name)
    if not resumed:
        folder.remove(record)
    begin = time.perf_counter()
    result = work()
    if not resumed:
        folder.write(record, f"{time.perf_counter() - begin:.3f}\n".encode())
    return result, float(folder.read(record)) if folder.exists(record) else None


class Clock:
    """The time that one artifact of a run takes from its first to its last byte.

    It is kept in the run beside the artifacts, as these are the same bytes however long they took.

    Args:
        run: URL of the run; None where there is none.
        artifact: URL of the artifact; one that lies elsewhere is not timed.
    """

    def __init__(self, run: str | None, artifact: str) -> None:
        root = f"{run.rstrip('/')}/" if run else None
        within = root is not None and artifact.startswith(root)
        self._record = (Folder(f"{root}{TIMES}"), time_of(artifact[len(root) :])) if root and within else None
        self._began: float | None = None

    def start(self) -> None:
        """It is begun; not to be called where one is taken up again."""
        self._began = time.perf_counter()

    def stop(self) -> None:
        """It is finished."""
        if self._record is None:
            return
        folder, name = self._record
        if self._began is None:
            folder.remove(name)
        else:
            folder.write(name, f"{time.perf_counter() - self._began:.3f}\n".encode())
