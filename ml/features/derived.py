"""Features made of others, of as_of itself, or of what a versioned table says at as_of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ml.features.declarations import (
    ActiveDays,
    Answers,
    Feature,
    Floats,
    Recency,
    Sum,
    Tenure,
    divide,
)
from ml.features.events import EventTable
from ml.features.requests import Request, State, Total, Window, WindowTotal


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
        return divide(first - last, days - 1)


@dataclass(frozen=True)
class Ratio:
    """One feature over another; NaN where the denominator is zero or missing."""

    name: str
    numerator: Feature
    denominator: Feature

    def needs(self) -> tuple[Request, ...]:
        return self.numerator.needs() + self.denominator.needs()

    def figure(self, answers: Answers, dates: npt.NDArray[np.int32]) -> Floats:
        return divide(
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
        left, right = self.left, self.right
        if isinstance(left, Sum) and isinstance(right, Sum) and left.scale == right.scale:
            # in whole units, so that 0.3 - 0.1 is 0.2
            (one,), (other,) = left.needs(), right.needs()
            return (answers[one] - answers[other]) / left.scale
        return left.figure(answers, dates) - right.figure(answers, dates)


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
        return divide(np.asarray(slope, np.float64), np.asarray(size, np.float64)) * scale


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
        raise TypeError(
            f"attribute {self.name!r} may be text, so it cannot be a part of another feature"
        )
