"""Daily series of the sample firm with planted anomalies: tickets, visits, calls and the like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warehouse.sources.sample.days import Calendar
from warehouse.sources.sample.streams import Floats, Ints, Streams

#: name, usual level, noise (relative), height of the season, weekend factor, growth a year
SERIES: tuple[tuple[str, float, float, float, float, float], ...] = (
    ("support_tickets", 140.0, 0.09, 0.12, 0.30, 0.10),
    ("website_visits", 5200.0, 0.07, 0.18, 0.65, 0.18),
    ("phone_calls", 210.0, 0.10, 0.10, 0.15, 0.02),
    ("portal_logins", 1800.0, 0.06, 0.10, 0.40, 0.15),
    ("documents_processed", 950.0, 0.08, 0.20, 0.20, 0.12),
    ("payroll_runs", 320.0, 0.07, 0.08, 0.10, 0.08),
    ("cloud_usage_hours", 26000.0, 0.03, 0.06, 0.85, 0.22),
    ("failed_payments", 38.0, 0.16, 0.10, 0.70, 0.05),
    ("newsletter_signups", 75.0, 0.14, 0.15, 0.75, 0.10),
    ("response_minutes", 46.0, 0.08, 0.10, 1.15, -0.03),
)
_BLOCK = 45  # at most one anomaly a series and block of days
_KINDS = ("spike", "drop", "level_shift", "flat")
_FIRST = 120  # the first days stay clean, so that a detector may learn what is usual


@dataclass(frozen=True)
class Measures:
    """values: series x days. Anomalies: which series, which day (each day of a flat line, the
    first day of a level shift), which kind."""

    values: Floats
    series: Ints
    day: Ints
    kind: tuple[str, ...]


def measures(streams: Streams, calendar: Calendar, last: int) -> Measures:
    """Daily values of the days 0 … last, and the anomalies within them."""
    number = np.arange(len(SERIES))[:, None]
    days = np.arange(last + 1)
    column = [np.array([row[at] for row in SERIES])[:, None] for at in range(1, 6)]
    level, noise, height, weekend, growth = column
    peak = streams.uniform("series.peak", number)
    log = np.log(level) + growth * days[None, :] / 365.25
    log = log + height * np.cos(2 * np.pi * (calendar.phase[None, : last + 1] - peak))
    closed = ~calendar.is_open[: last + 1]
    log = log + np.where(closed[None, :], np.log(weekend), 0.0)
    log = log + 0.5 * noise * streams.normal("series.weekday", number, calendar.weekday[: last + 1])
    log = log + noise * streams.normal("series.noise", number, days[None, :])
    return _planted(streams, np.exp(log), noise[:, 0], last)


def _planted(streams: Streams, values: Floats, noise: Floats, last: int) -> Measures:
    """Put the anomalies in. All draws are by (series, block), so an end of books moves none."""
    blocks = np.arange(last // _BLOCK + 1)
    found: list[tuple[int, int, str]] = []
    for series in range(len(values)):
        when = streams.uniform("anomaly.when", series, blocks) < 0.45
        day = blocks * _BLOCK + streams.whole("anomaly.day", _BLOCK - 8, series, blocks)
        kinds = streams.whole("anomaly.kind", len(_KINDS), series, blocks)
        size = 6.0 + 5.0 * streams.uniform("anomaly.size", series, blocks)
        for block in np.nonzero(when & (day >= _FIRST) & (day <= last))[0]:
            step = min(float(size[block] * noise[series]), 1.2)
            kind = _KINDS[kinds[block]]
            days = _plant(values[series], kind, int(day[block]), step, int(block))
            found += [(series, at, kind) for at in days]
    values = np.round(values, 2)
    return Measures(
        values=values,
        series=np.array([row[0] for row in found], dtype=np.int64),
        day=np.array([row[1] for row in found], dtype=np.int64),
        kind=tuple(row[2] for row in found),
    )


def _plant(values: Floats, kind: str, day: int, step: float, block: int) -> list[int]:
    """Change the values in place; the days that count as anomalous."""
    if kind == "spike":
        values[day] *= np.exp(step)
        return [day]
    if kind == "drop":
        values[day] *= np.exp(-step)
        return [day]
    if kind == "level_shift":
        values[day:] *= np.exp(0.6 * step if block % 2 else -0.6 * step)
        return [day]
    end = min(day + 6, len(values))
    values[day:end] = values[day - 1]
    return list(range(day, end))
