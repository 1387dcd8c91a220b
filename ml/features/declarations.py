"""The kinds of feature: what each asks of the engine, and how its figure follows from that.

All windows are days back from as_of, as_of itself included: ``window_days=30`` means
``as_of - 30 < day <= as_of``, None means since ever. Figures are float64, NaN where undefined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ml.features.events import EventTable
from ml.features.requests import (
    NO_DAY,
    Distinct,
    Extreme,
    Request,
    State,
    Total,
    Window,
    WindowDistinct,
    WindowTotal,
)

Floats = npt.NDArray[np.float64]
Answers = Mapping[Request, npt.NDArray[Any]]


class Feature(Protocol):
    """A named figure of one entity at one date."""

    @property
    def name(self) -> str: ...

    def needs(self) -> tuple[Request, ...]:
        """The aggregates it is made of."""

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        """Float64 of shape (dates, entities) from the answers; dates are days since 1970."""


def describe(feature: Feature) -> dict[str, Any]:
    """A JSON-ready account of a declaration."""

    def plain(value: Any) -> Any:
        if isinstance(value, EventTable):
            return value.describe()
        return describe(value) if hasattr(value, "needs") else value

    known = {item.name: plain(getattr(feature, item.name)) for item in fields(feature)}  # type: ignore[arg-type]
    return {"kind": type(feature).__name__, **known}


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient, NaN where the denominator is zero or missing."""
    defined = (denominator != 0) & ~np.isnan(denominator)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=defined)


@dataclass(frozen=True)
class Sum:
    """Sum of a value over a window; 0 without events. Optionally ended ``ending_days_ago``."""

    name: str
    table: EventTable
    column: str
    window_days: int | None = None
    where: str | None = None
    ending_days_ago: int = 0

    def _request(self) -> WindowTotal:
        total = Total(self.table, "sum", self.column, self.where)
        return WindowTotal(total, _window(self.window_days, self.ending_days_ago))

    def needs(self) -> tuple[Request, ...]:
        return (self._request(),)

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        return answers[self._request()] / np.float64(10**self.table.decimals)


@dataclass(frozen=True)
class Count:
    """Number of events over a window (with ``column``: of those where it is not null)."""

    name: str
    table: EventTable
    window_days: int | None = None
    where: str | None = None
    column: str | None = None
    ending_days_ago: int = 0

    def _request(self) -> WindowTotal:
        total = Total(self.table, "count", self.column, self.where)
        return WindowTotal(total, _window(self.window_days, self.ending_days_ago))

    def needs(self) -> tuple[Request, ...]:
        return (self._request(),)

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        return answers[self._request()].astype(np.float64)


@dataclass(frozen=True)
class Mean:
    """Mean of a value's non-null occurrences over a window; NaN without any."""

    name: str
    table: EventTable
    column: str
    window_days: int | None = None
    where: str | None = None

    def _parts(self) -> tuple[Sum, Count]:
        over = (self.window_days, self.where)
        return (
            Sum("", self.table, self.column, *over),
            Count("", self.table, *over, column=self.column),
        )

    def needs(self) -> tuple[Request, ...]:
        total, count = self._parts()
        return total.needs() + count.needs()

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        total, count = self._parts()
        return _divide(total.figure(answers, dates), count.figure(answers, dates))


@dataclass(frozen=True)
class ActiveDays:
    """Number of distinct days with an event over a window."""

    name: str
    table: EventTable
    window_days: int | None = None
    where: str | None = None

    def _request(self) -> WindowTotal:
        return WindowTotal(Total(self.table, "days", None, self.where), _window(self.window_days))

    def needs(self) -> tuple[Request, ...]:
        return (self._request(),)

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        return answers[self._request()].astype(np.float64)


@dataclass(frozen=True)
class DistinctValues:
    """Number of different values of a column over a window, e.g. services bought."""

    name: str
    table: EventTable
    column: str
    window_days: int | None = None
    where: str | None = None

    def _request(self) -> WindowDistinct:
        return WindowDistinct(Distinct(self.table, self.column, self.where), self.window_days)

    def needs(self) -> tuple[Request, ...]:
        return (self._request(),)

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        return answers[self._request()].astype(np.float64)


@dataclass(frozen=True)
class Recency:
    """Days since the last event; NaN before the first."""

    name: str
    table: EventTable
    where: str | None = None

    def needs(self) -> tuple[Request, ...]:
        return (Extreme(self.table, "last", self.where),)

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        last = answers[self.needs()[0]]
        return np.where(last == NO_DAY, np.nan, dates[:, None] - last.astype(np.float64))


@dataclass(frozen=True)
class Tenure:
    """Days since the first event; NaN before it."""

    name: str
    table: EventTable
    where: str | None = None

    def needs(self) -> tuple[Request, ...]:
        return (Extreme(self.table, "first", self.where),)

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        first = answers[self.needs()[0]]
        return np.where(first == -NO_DAY - 1, np.nan, dates[:, None] - first.astype(np.float64))


@dataclass(frozen=True)
class MeanGap:
    """Mean days between successive event days, since ever; NaN with fewer than two days."""

    name: str
    table: EventTable
    where: str | None = None

    def _parts(self) -> tuple[Tenure, Recency, ActiveDays]:
        over = ("", self.table)
        return (
            Tenure(*over, where=self.where),
            Recency(*over, where=self.where),
            ActiveDays(*over, where=self.where),
        )

    def needs(self) -> tuple[Request, ...]:
        first, last, days = self._parts()
        return first.needs() + last.needs() + days.needs()

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        first, last, days = (part.figure(answers, dates) for part in self._parts())
        return _divide(first - last, days - 1)


@dataclass(frozen=True)
class Ratio:
    """One feature over another; NaN where the denominator is zero or missing."""

    name: str
    numerator: Feature
    denominator: Feature

    def needs(self) -> tuple[Request, ...]:
        return self.numerator.needs() + self.denominator.needs()

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        return _divide(
            self.numerator.figure(answers, dates), self.denominator.figure(answers, dates)
        )


@dataclass(frozen=True)
class Difference:
    """One feature minus another, e.g. revenue minus the cost of work."""

    name: str
    left: Feature
    right: Feature

    def needs(self) -> tuple[Request, ...]:
        return self.left.needs() + self.right.needs()

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        return self.left.figure(answers, dates) - self.right.figure(answers, dates)


@dataclass(frozen=True)
class Trend:
    """Slope of the sums over successive windows, per window, relative to their mean size.

    With two windows of 90 days: the last 90 days against the 90 before, 2(b - a) / (|a| + |b|),
    so -2 is "stopped", 0 "steady", 2 "new". NaN where every window is zero. Least squares; the
    sums are integers until the one final division, so nothing is lost to cancellation.
    ``column`` None counts events.
    """

    name: str
    table: EventTable
    column: str | None
    window_days: int = 90
    windows: int = 2
    where: str | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.windows <= 8:
            raise ValueError(f"trend {self.name!r}: windows must be 2 to 8, got {self.windows}")

    def needs(self) -> tuple[Request, ...]:
        kind: Literal["sum", "count"] = "count" if self.column is None else "sum"
        total = Total(self.table, kind, self.column, self.where)
        return tuple(
            WindowTotal(total, Window((back + 1) * self.window_days, back * self.window_days))
            for back in range(self.windows)
        )

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        sums = [answers[request] for request in self.needs()]
        weights = [self.windows - 1 - 2 * back for back in range(self.windows)]
        slope = sum(weight * part for weight, part in zip(weights, sums, strict=True))
        size = sum(np.abs(part) for part in sums)
        scale = 2 * self.windows / sum(weight**2 for weight in weights)
        return _divide(np.asarray(slope, np.float64), np.asarray(size, np.float64)) * scale


@dataclass(frozen=True)
class Calendar:
    """A part of as_of itself, the same for every entity; seasons for models that need them."""

    name: str
    part: Literal["month", "quarter", "day_of_year"] = "month"

    def needs(self) -> tuple[Request, ...]:
        return ()

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        days = dates.astype("datetime64[D]")
        months = days.astype("datetime64[M]").astype(np.int64) % 12
        if self.part == "month":
            part = months + 1
        elif self.part == "quarter":
            part = months // 3 + 1
        else:
            part = (days - days.astype("datetime64[Y]")).astype(np.int64) + 1
        return part.astype(np.float64)[:, None]


@dataclass(frozen=True)
class Attribute:
    """A column of a versioned table as it was known at as_of.

    Text stays text (missing where unknown); numbers and booleans become float64; a date becomes
    the days from it to as_of (negative while it lies ahead).
    """

    name: str
    table: str
    column: str

    def needs(self) -> tuple[Request, ...]:
        return (State(self.table),)

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        return answers[self.needs()[0]].astype(np.float64)


def _window(days: int | None, ending_days_ago: int = 0) -> Window:
    return Window(None if days is None else days + ending_days_ago, ending_days_ago)
