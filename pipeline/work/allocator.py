"""Memory that is freed and needed again at once: every batch frees what the next one takes."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt."""
_NEVER, _LARGEST = 2**31 - 1, 2**25
"""The largest that they take."""


@contextmanager
def memory_kept() -> Iterator[None]:
    """Within it freed memory stays with the process, and goes back to the system at its end.

    glibc hands large blocks back as soon as they are freed, and the system clears every page of the next ones: a tenth
    of a climb in fp32. The setting is the process's and stays; other C libraries are left as they are.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        give_back()


def give_back() -> None:
    """Return what is free to the system."""
    gc.collect()
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL("libc.so.6")
        return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
    except OSError:
        return None
