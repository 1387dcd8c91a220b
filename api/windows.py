"""Sliding windows counted in memory, as a storage of the ``limits`` library.

The library's own walks all keys for each request, so that its cost grows with the callers; this one
looks at one key, and clears what is over once in a while.
"""

from __future__ import annotations

import time

from limits.aio.storage import SlidingWindowCounterSupport, Storage

SWEEP_SECONDS = 60.0


class Windows(Storage, SlidingWindowCounterSupport):
    """Counts of the present and the previous window of each key.

    How many calls lie in the last ``expiry`` seconds is estimated as the library does: those of the
    present window and the previous window's, weighted by how much of it they still hold.
    """

    STORAGE_SCHEME = ["async+sevenfold"]  # noqa: RUF012 - the library's own way

    def __init__(self) -> None:
        super().__init__()
        # By key: number of the window, calls in it, calls in the one before, its end.
        self._held: dict[str, tuple[int, int, int, float]] = {}
        self._swept = 0.0

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        now = time.time()
        number, present, previous = self._present(key, expiry, now)
        rest = 1.0 - now / expiry % 1.0
        if int(previous * rest) + present + amount > limit:
            return False
        self._held[key] = (number, present + amount, previous, (number + 2) * expiry)
        if now - self._swept > SWEEP_SECONDS:
            self._sweep(now)
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        now = time.time()
        _, present, previous = self._present(key, expiry, now)
        rest = expiry - now % expiry
        return previous, rest, present, rest + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        self._held.pop(key, None)

    def _present(self, key: str, expiry: int, now: float) -> tuple[int, int, int]:
        number = int(now // expiry)
        held = self._held.get(key)
        if held is None or held[0] < number - 1:
            return number, 0, 0
        if held[0] < number:
            return number, 0, held[1]
        return number, held[1], held[2]

    def _sweep(self, now: float) -> None:
        self._swept = now
        self._held = {key: held for key, held in self._held.items() if held[3] > now}

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("these windows slide: no other strategy is counted here")

    async def get(self, key: str) -> int:
        raise NotImplementedError("these windows slide: no other strategy is counted here")

    async def get_expiry(self, key: str) -> float:
        held = self._held.get(key)
        return time.time() if held is None else held[3]

    async def check(self) -> bool:
        return True

    async def reset(self) -> int:
        held, self._held = self._held, {}
        return len(held)

    async def clear(self, key: str) -> None:
        self._held.pop(key, None)
