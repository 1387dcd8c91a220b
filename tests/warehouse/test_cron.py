"""When a cron fires: its own list, whatever instant one begins at, also where clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from warehouse.cron import CronError, check_cron, firings, newest_until, next_after

BERLIN, NEW_YORK, KOLKATA = "Europe/Berlin", "America/New_York", "Asia/Kolkata"
CRONS = (
    "30 2 * * *",
    "15 1 * * *",
    "0 3 * * *",
    "*/15 * * * *",
    "5 */2 * * *",
    "0 0 1 * *",
    "0 6 * * MON",
    "30 1,2,3 * * SUN",
    "0 12 L * *",
    "0 12 * * 5#2",
)
START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
LEAST = timedelta(minutes=5)


@cache
def own_list(cron: str, zone: str) -> list[datetime]:
    """The year's firings as the library lists them in one go."""
    times: Iterator[datetime] = CronSim(cron, START.astimezone(ZoneInfo(zone)))
    return list(takewhile(lambda at: at < END, (time.astimezone(UTC) for time in times)))


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, KOLKATA])
@pytest.mark.parametrize("cron", CRONS)
def test_one_after_another_they_are_the_crons_own_list(cron: str, zone: str) -> None:
    expected = own_list(cron, zone)
    assert list(takewhile(lambda at: at < END, firings(cron, zone, START))) == expected
    step = 1 if len(expected) < 1000 else 37
    for at, following in list(pairwise(expected))[::step]:
        assert next_after(cron, zone, at) == following


@settings(max_examples=120, deadline=None)
@given(
    cron=st.sampled_from(CRONS),
    zone=st.sampled_from([BERLIN, NEW_YORK, KOLKATA]),
    seconds=st.integers(0, 364 * 86_400),
    hours=st.floats(0, 2_000),
)
@example(cron="30 1,2,3 * * SUN", zone=BERLIN, seconds=298 * 86_400 + 1_800, hours=1.0)
@example(cron="15 1 * * *", zone=NEW_YORK, seconds=305 * 86_400 + 6 * 3_600, hours=30.0)
def test_from_any_instant_the_next_is_later_and_the_newest_is_the_last_of_those_between(
    cron: str, zone: str, seconds: int, hours: float
) -> None:
    since = START + timedelta(seconds=seconds)
    until = since + timedelta(hours=hours)
    expected = own_list(cron, zone)
    following = [at for at in expected if at > since]
    if following:
        assert next_after(cron, zone, since) == following[0]
    if until < END:
        between = [at for at in following if at <= until]
        assert newest_until(cron, zone, since, until) == (between[-1] if between else None)


def test_a_fixed_time_comes_once_where_clocks_change() -> None:
    spring = list(takewhile(lambda at: at.month < 5, firings("30 2 * * *", BERLIN, START)))
    assert len(spring) == 31 + 28 + 31 + 30
    [skipped] = [at for at in spring if at.date().isoformat() == "2025-03-30"]
    assert skipped == datetime(2025, 3, 30, 1, tzinfo=UTC), "at three, when the clock has moved"
    autumn = [at for at in own_list("30 2 * * *", BERLIN) if at.month == 10 and at.day == 26]
    assert autumn == [datetime(2025, 10, 26, 0, 30, tzinfo=UTC)], "the first of both half past two"


@pytest.mark.parametrize(
    ("cron", "zone", "field", "said"),
    [
        ("* * * * *", "UTC", "cron", "fires 0:01:00"),
        ("0,2 6 * * *", "UTC", "cron", "fires 0:02:00"),
        ("0 0 30 2 *", "UTC", "cron", "no cron expression"),
        ("0 0 */31 * 0#2", "UTC", "cron", "never fires"),
        ("61 * * * *", "UTC", "cron", "Bad minute"),
        ("0 0 * * * *", "UTC", "cron", "five fields"),
        ("@daily", "UTC", "cron", "five fields"),
        ("", "UTC", "cron", "five fields"),
        ("0 6 * * *", "Mars/Olympus", "timezone", "no time zone"),
        ("0 6 * * *", "../../etc/passwd", "timezone", "no time zone"),
        ("0 6 * * *", "", "timezone", "no time zone"),
    ],
)
def test_what_cannot_be_or_comes_too_often_is_refused(
    cron: str, zone: str, field: str, said: str
) -> None:
    with pytest.raises(CronError, match=said) as refused:
        check_cron(cron, zone, LEAST, START)
    assert refused.value.field == field


@pytest.mark.parametrize("cron", ["*/5 * * * *", "0 0 29 2 *", "0 6 * * 1-5", *CRONS])
def test_what_is_seldom_enough_is_taken(cron: str) -> None:
    check_cron(cron, BERLIN, LEAST, START)
