"""How long work on a directory takes, told truly also when the work is resumed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

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
