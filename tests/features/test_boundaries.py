"""The days at which something begins or ends to count, one by one."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from ml.features import (
    Active,
    ActiveDays,
    Attribute,
    Count,
    DistinctValues,
    EventTable,
    Feature,
    Known,
    Lookup,
    Recency,
    Sum,
    Tenure,
    compute,
)

DAY = date(2024, 1, 31)
EVENTS = EventTable("e", "t", "day")


def before(days: int) -> date:
    return DAY - timedelta(days=days)


def table(*rows: tuple[date, date | None, date | None, date | None], **columns: Any) -> pa.Table:
    """Rows of client a: day, known_at, valid_from, valid_to."""
    names = ("day", "known_at", "valid_from", "valid_to")
    dates = {
        n: pa.array(v, pa.date32()) for n, v in zip(names, zip(*rows, strict=True), strict=True)
    }
    return pa.table({"client_id": ["a"] * len(rows), **dates, **columns})


def figure(feature: Feature, rows: pa.Table, **tables: pa.Table) -> float:
    found = compute(
        [feature, Count("all", EVENTS)],
        {"t": rows, **tables},
        as_ofs=[before(400), DAY],
        population=Active(EVENTS, None),
    ).at(DAY)
    return float(found[feature.name][0]) if len(found) else float("nan")


@pytest.mark.parametrize(("days_ago", "inside"), [(-1, 0), (0, 1), (29, 1), (30, 0)])
def test_a_window_holds_as_of_and_the_days_before_it(days_ago: int, inside: int) -> None:
    anchor = (before(300), before(300), None, None)
    day = before(days_ago)
    for known in (day, before(400), before(5)):
        rows = table(anchor, (day, known, None, None))
        assert figure(Count("n", EVENTS, 30), rows) == inside


@pytest.mark.parametrize(
    ("known_at", "valid_from", "valid_to", "counts"),
    [
        (before(0), None, None, 1),
        (before(-1), None, None, 0),
        (before(9), before(0), None, 1),
        (before(9), before(-1), None, 0),
        (before(9), None, before(-1), 1),
        (before(9), None, before(0), 0),
    ],
)
def test_a_version_counts_from_its_first_day_until_the_day_before_its_end(
    known_at: date, valid_from: date | None, valid_to: date | None, counts: int
) -> None:
    rows = table((before(99), before(99), None, None), (before(9), known_at, valid_from, valid_to))
    assert figure(Count("n", EVENTS, 30), rows) == counts
    assert figure(Recency("r", EVENTS), rows) == (9 if counts else 99)


def test_a_day_counts_once_whether_its_rows_came_in_time_or_late() -> None:
    # the late rows are late for DAY's neighbour before(400) only if their day is before it
    early, late = before(500), before(300)
    rows = table(
        (early, early, None, None),
        (early, late, None, None),
        (early, late, None, None),
        (before(450), late, None, None),
        (before(450), late, None, None),
    )
    assert figure(ActiveDays("d", EVENTS), rows) == 2.0
    assert figure(Tenure("f", EVENTS), rows) == 500.0
    services = table(
        (early, early, None, None),
        (early, late, None, None),
        (before(450), late, None, None),
        service=["s1", "s1", "s2"],
    )
    assert figure(DistinctValues("v", EVENTS, "service"), services) == 2.0


@pytest.mark.parametrize(("ends_in", "expected"), [(1, 10.0), (0, 0.0), (-1, 0.0)])
def test_a_lookup_ends_on_the_day_its_version_does(ends_in: int, expected: float) -> None:
    day = before(10)
    events = EventTable("e2", "t", "day", {}, Lookup("services", "service", ("price",)))
    services = pa.table(
        {
            "service": ["s"],
            "price": [10.0],
            "known_at": [date(1970, 1, 1)],
            "valid_to": [day + timedelta(days=ends_in)],
        }
    )
    rows = table((day, day, None, None), service=["s"])
    assert figure(Sum("p", events, "price"), rows, services=services) == expected


@pytest.mark.parametrize(("starts_in", "expected"), [(1, 10.0), (0, 12.0), (-1, 12.0)])
def test_a_lookup_takes_the_newest_version_known_that_day(starts_in: int, expected: float) -> None:
    day = before(10)
    change = day + timedelta(days=starts_in)
    events = EventTable("e2", "t", "day", {}, Lookup("services", "service", ("price",)))
    services = pa.table(
        {
            "service": ["s", "s"],
            "price": [12.0, 10.0],
            "valid_from": [change, None],
            "valid_to": [None, change],
        }
    )
    rows = table((day, day, None, None), service=["s"])
    assert figure(Sum("p", events, "price"), rows, services=services) == expected


@pytest.mark.parametrize(
    ("ended", "known"), [(before(0), 0.0), (before(3), 3.0), (before(-1), None)]
)
def test_an_own_dated_attribute_is_known_from_its_day_on(ended: date, known: float | None) -> None:
    clients = pa.table({"client_id": ["a"], "ended_on": [ended]})
    frame = compute(
        [Attribute("ended", "clients", "ended_on")],
        {"clients": clients},
        as_ofs=[DAY],
        population=Known(),
    ).frame
    assert frame["ended"].isna()[0] if known is None else frame["ended"][0] == known


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "member"),
    [
        (None, None, True),
        (before(0), None, True),
        (before(-1), None, False),
        (None, before(-1), True),
        (None, before(0), False),
    ],
)
def test_a_client_is_known_from_its_versions_first_day_until_it_is_removed(
    valid_from: date | None, valid_to: date | None, member: bool
) -> None:
    bounds = {"valid_from": valid_from, "valid_to": valid_to}
    clients = pa.table(
        {"client_id": ["a"], **{n: pa.array([d], pa.date32()) for n, d in bounds.items()}}
    )
    found = compute([], {"clients": clients}, as_ofs=[DAY], population=Known())
    assert (len(found.frame) == 1) is member


@pytest.mark.parametrize(("days_ago", "member"), [(364, True), (365, False)])
def test_active_within_a_year_means_the_last_365_days(days_ago: int, member: bool) -> None:
    rows = table((before(days_ago), before(days_ago), None, None))
    found = compute([], {"t": rows}, as_ofs=[DAY], population=Active(EVENTS, 365))
    assert (len(found.frame) == 1) is member


def test_an_event_of_as_of_itself_counts_though_its_version_ends_later() -> None:
    rows = table((before(99), before(99), None, None), (DAY, before(9), None, before(-5)))
    assert figure(Count("n", EVENTS, 30), rows) == 1.0
