"""Dates that several methods need."""

from __future__ import annotations

from datetime import date, timedelta


def month_ends(start: date, end: date) -> list[date]:
    """The last days of months from ``start`` to ``end``, both included."""
    found: list[date] = []
    first = start.replace(day=1)
    while True:
        following = (first + timedelta(days=32)).replace(day=1)
        last = following - timedelta(days=1)
        if last > end:
            return found
        if last >= start:
            found.append(last)
        first = following
