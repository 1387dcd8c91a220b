"""The plain kinds of feature: what each asks of the engine, and the figure that follows.

All windows are days back from as_of, as_of itself included: ``window_days=30`` means
``as_of - 30 < day <= as_of``, None means since ever. Figures are float64, NaN where undefined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ml.features.events import EventTable
from ml.features.requests import (
    NO_DAY,
    Distinct,
    Extreme,
    Request,
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


def divide(numerator: Floats, denominator: Floats) -> Floats:
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

    @property
    def scale(self) -> float:
        """Whole units in one: the sum is kept as an integer of these."""
        return float(10**self.table.decimals)

    def needs(self) -> tuple[Request, ...]:
        return (self._request(),)

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        return answers[self._request()] / self.scale


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
        return divide(total.figure(answers, dates), count.figure(answers, dates))


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


def _window(days: int | None, ending_days_ago: int = 0) -> Window:
    return Window(None if days is None else days + ending_days_ago, ending_days_ago)
