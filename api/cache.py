"""What was read from the warehouse, held while the day that it was read of is the newest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from warehouse.points import Day

Value = TypeVar("Value")
OVERHEAD = 500
"""Bytes that an entry takes beside its value and its key's texts."""


class DayCache(Generic[Value]):
    """The latest used values, up to a number of bytes; one of a replaced day is never given."""

    def __init__(self, most_bytes: int = 16 * 1024 * 1024) -> None:
        self._most = most_bytes
        self._held: OrderedDict[Hashable, tuple[Day, Value, int]] = OrderedDict()
        self._size = 0

    def get(self, key: Hashable, day: Day) -> Value | None:
        """The value that was read of this day."""
        found = self._held.get(key)
        if found is None or found[0] != day:
            return None
        self._held.move_to_end(key)
        return found[1]

    def put(self, key: Hashable, day: Day, value: Value, size: int) -> None:
        """Hold a value; ``size`` counts the bytes of its key too, which callers may choose.

        One that would take much of all there is room for is not held.
        """
        size += OVERHEAD
        if size > self._most // 8:
            return
        self._drop(key)
        self._held[key] = (day, value, size)
        self._size += size
        while self._size > self._most:
            self._drop(next(iter(self._held)))

    def _drop(self, key: Hashable) -> None:
        found = self._held.pop(key, None)
        if found is not None:
            self._size -= found[2]
