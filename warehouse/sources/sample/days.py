"""Days of the sample firm: epoch, months, working days, holidays and the shape of a year.

Day 0 is :data:`EPOCH`, the first day of the firm's books. Every table here reaches past the last
day asked for, and its entries never depend on how far it reaches.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from warehouse.sources.sample.streams import Bools, Floats, Ints

EPOCH = dt.date(2023, 11, 1)
SHORTEST = 400  # days of books that every model needs
_UNIX = (EPOCH - dt.date(1970, 1, 1)).days
_HOLIDAYS = {(1, 1), (5, 1), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31)}
_WEEKDAY = np.array([1.15, 1.1, 1.0, 1.0, 0.75, 0.0, 0.0])


def day_of(date: dt.date) -> int:
    """Days from the epoch to a date."""
    return (date - EPOCH).days


def date_of(day: int) -> dt.date:
    """The date of a day number."""
    return EPOCH + dt.timedelta(days=int(day))


def unix_days(days: Ints) -> Ints:
    """Days since 1970-01-01, as Arrow's date32 counts them."""
    return days + _UNIX


@dataclass(frozen=True)
class Calendar:
    """Arrays by day (0 … length - 1) and by month (0 … months - 1).

    month: month number of each day, 0 is November 2023. month_start: first day of each month.
    weight: how busy the day is for orders; 0 when the firm is closed. next_open: the first open
    day at or after each day. phase: place in the year, in [0, 1).
    """

    length: int
    month: Ints
    month_start: Ints
    weight: Floats
    next_open: Ints
    phase: Floats
    weekday: Ints

    @property
    def months(self) -> int:
        """Number of months that have a start."""
        return len(self.month_start)

    @property
    def is_open(self) -> Bools:
        """Days on which the firm works."""
        return self.weight > 0

    def month_ends(self, first: int, last: int) -> list[int]:
        """Last days of months within [first, last]."""
        ends = self.month_start[1:] - 1
        return [int(end) for end in ends if first <= end <= last]


def calendar(length: int) -> Calendar:
    """The calendar of the days 0 … length - 1."""
    dates = [EPOCH + dt.timedelta(days=day) for day in range(length)]
    month = np.array([(d.year - EPOCH.year) * 12 + d.month - EPOCH.month for d in dates])
    starts = []
    date = EPOCH
    while (date - EPOCH).days < length:
        starts.append((date - EPOCH).days)
        date = (date.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    weekday = np.array([d.weekday() for d in dates])
    phase = np.array([(d.timetuple().tm_yday - 1) / 365.25 for d in dates])
    weight = _WEEKDAY[weekday] * _year_shape(dates, phase)
    return Calendar(
        length=length,
        month=month.astype(np.int64),
        month_start=np.array(starts, dtype=np.int64),
        weight=weight,
        next_open=_next_open(weight),
        phase=phase,
        weekday=weekday.astype(np.int64),
    )


def _year_shape(dates: list[dt.date], phase: Floats) -> Floats:
    """Busy spring and autumn, a slow August, almost nothing between the years, closed holidays."""
    shape = (
        1.0 + 0.10 * np.cos(2 * np.pi * (phase - 0.2)) + 0.05 * np.cos(4 * np.pi * (phase - 0.3))
    )
    for position, date in enumerate(dates):
        if (date.month, date.day) in _HOLIDAYS:
            shape[position] = 0.0
        elif date.month == 12 and date.day > 20:
            shape[position] *= 0.3
        elif date.month == 8:
            shape[position] *= 0.8
    return shape


def _next_open(weight: Floats) -> Ints:
    """For each day the first open day at or after it; the last days may point past the end."""
    length = len(weight)
    result = np.empty(length, dtype=np.int64)
    upcoming = length
    for day in range(length - 1, -1, -1):
        if weight[day] > 0:
            upcoming = day
        result[day] = upcoming
    return result
