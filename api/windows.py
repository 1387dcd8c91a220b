"""Sliding windows counted in memory, as the ``limits`` library counts them.

The library's own storage walks all keys for each request, so that its cost grows with the callers;
this one looks at one key, and clears what is over once in a while.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

SWEEP_SECONDS = 60.0
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
RATE = re.compile(r"(\d+)\s*(?:/|per)\s*(\d*)\s*(second|minute|hour|day)s?", re.ASCII)


class AwayError(Exception):
    """What several instances count in together cannot be reached, or not in time."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in so many seconds."""

    amount: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Of ``600/minute``, ``10 per 2 hours``, as the library reads them; else ValueError."""
        found = RATE.fullmatch(text.strip().lower())
        rate = found and cls(int(found[1]), int(found[2] or 1) * UNITS[found[3]])
        if not rate or not rate.amount or not rate.seconds:
            raise ValueError(f"expected a limit such as 600/minute, got {text!r}")
        return rate


@dataclass(frozen=True, slots=True)
class Hit:
    """A call counted: whether it is let through, how many more would be, seconds to the reset."""

    allowed: bool
    remaining: int
    reset: float


class Windows:
    """Counts of the present and the previous window of each key.

    How many calls lie in the last seconds is estimated as the library does: those of the
    present window and the previous window's, weighted by how much of it they still hold.
    """

    def __init__(self) -> None:
        # By key: number of the window, calls in it, calls in the one before, its end.
        self._held: dict[str, tuple[int, int, int, float]] = {}
        self._swept = 0.0

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._held)

    def hit(self, key: str, rate: Rate) -> Hit:
        """Count a call of ``key`` where its rate lets it through."""
        limit, expiry = rate.amount, rate.seconds
        now = time.time()
        number = int(now // expiry)
        rest = expiry - now % expiry
        present = previous = 0
        held = self._held.get(key)
        if held is not None and held[0] >= number - 1:
            present, previous = (held[1], held[2]) if held[0] == number else (0, held[1])
        taken = int(previous * rest / expiry) + present
        allowed = taken < limit
        if allowed:
            taken, present = taken + 1, present + 1
            self._held[key] = (number, present, previous, (number + 2) * expiry)
            if now - self._swept > SWEEP_SECONDS:
                self._sweep(now)
        # One call fewer counts when this window ends, or when the previous one weighs one less.
        reset = min(rest if present else expiry, rest % (expiry / previous) if previous else expiry)
        return Hit(allowed, max(0, limit - taken), reset)

    def _sweep(self, now: float) -> None:
        self._swept = now
        self._held = {key: held for key, held in self._held.items() if held[3] > now}
