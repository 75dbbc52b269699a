"""What was made lately, by what it was made from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_OVERHEAD = 500  # bytes, roughly, that an entry takes beside its characters


class Recent(Generic[Key, Value]):
    """A mapping that forgets what was not asked for longest, once it is full. Threads may share it.

    Args:
        capacity: bytes that entries may take, roughly.
    """

    def __init__(self, capacity: int = 64 * 2**20) -> None:
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = Lock()
        self._capacity, self._held = capacity, 0

    def get(self, key: Key) -> Value | None:
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep `value`, of `size` bytes, under `key`."""
        with self._lock:
            if key in self._entries:
                self._held -= self._entries.pop(key)[1]
            size += _OVERHEAD
            self._entries[key] = value, size
            self._held += size
            while self._held > self._capacity:
                self._held -= self._entries.popitem(last=False)[1][1]
