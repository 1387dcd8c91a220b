"""What a feature asks of the engine: small exact aggregates of one entity at one date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ml.features.events import EventTable


@dataclass(frozen=True)
class Window:
    """Days d with ``as_of - oldest < d <= as_of - newest``; ``oldest`` None: since ever."""

    oldest: int | None
    newest: int = 0

    def __post_init__(self) -> None:
        if self.newest < 0 or (self.oldest is not None and self.oldest <= self.newest):
            raise ValueError(
                f"a window needs oldest > newest >= 0 days before as_of, "
                f"got oldest={self.oldest}, newest={self.newest}"
            )


@dataclass(frozen=True)
class Total:
    """A sum over events: of a value (scaled int64), of events, or of distinct event days.

    For ``count`` a column restricts to events in which it is not null.
    """

    events: EventTable
    kind: Literal["sum", "count", "days"]
    column: str | None = None
    where: str | None = None


@dataclass(frozen=True)
class WindowTotal:
    """A ``Total`` within a window. Answer: int64 (dates, entities)."""

    total: Total
    window: Window


@dataclass(frozen=True)
class Extreme:
    """The first or last event day up to as_of. Answer: int32 (dates, entities), ``NO_DAY`` none."""

    events: EventTable
    which: Literal["first", "last"]
    where: str | None = None


@dataclass(frozen=True)
class Distinct:
    """How many different values of a column the window's events have. Answer: int64."""

    events: EventTable
    column: str
    where: str | None = None


@dataclass(frozen=True)
class WindowDistinct:
    """A ``Distinct`` within the last ``days``. Answer: int64 (dates, entities)."""

    distinct: Distinct
    days: int | None


@dataclass(frozen=True)
class State:
    """The row of a versioned table that holds at as_of. Answer: int64 row number, -1 none."""

    table: str


Request = WindowTotal | Extreme | WindowDistinct | State

NO_DAY = -(2**31)
"""Stands for "no such event" among last days (and, negated minus one, among first days)."""
