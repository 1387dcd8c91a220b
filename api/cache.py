"""Answers of stored reads, held while the decisions they show are the newest."""

from __future__ import annotations

from collections import OrderedDict

from warehouse.points import Day

Key = tuple[str, bytes]
"""Path and query of a read."""


class ReadCache:
    """The latest used answers, up to a number of bytes; one of a replaced day is never given."""

    def __init__(self, most_bytes: int = 16 * 1024 * 1024) -> None:
        self._most = most_bytes
        self._held: OrderedDict[Key, tuple[Day, bytes]] = OrderedDict()
        self._size = 0

    def get(self, key: Key, day: Day) -> bytes | None:
        """The answer that was made from this day."""
        found = self._held.get(key)
        if found is None or found[0] != day:
            return None
        self._held.move_to_end(key)
        return found[1]

    def put(self, key: Key, day: Day, body: bytes) -> None:
        """Hold an answer; one that is larger than all there is room for is not."""
        if len(body) > self._most // 8:
            return
        self._drop(key)
        self._held[key] = (day, body)
        self._size += len(body)
        while self._size > self._most:
            self._drop(next(iter(self._held)))

    def _drop(self, key: Key) -> None:
        found = self._held.pop(key, None)
        if found is not None:
            self._size -= len(found[1])
