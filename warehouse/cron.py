"""When a cron expression fires in a time zone: five fields, read as Debian's cron reads them.

Around a change of clocks a job at a fixed time runs once: one whose time is skipped in spring runs
when the clock has moved, one whose time comes twice in autumn runs the first time. One with a
star for minute or hour follows the clock: what is skipped does not run, what comes twice runs
twice, so that ``*/15 * * * *`` keeps its distance in real time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

LOOK_AHEAD = timedelta(days=400)
MOST_FIRINGS = 2_000
"""How far, and at how many firings, is looked for two that are too close."""


class CronError(ValueError):
    """A cron expression or time zone that cannot be used; ``field`` is ``cron`` or ``timezone``."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def check_cron(cron: str, timezone: str, least: timedelta, now: datetime) -> None:
    """Refuse what never fires, fires more often than every ``least``, or is no cron at all."""
    if len(cron.split()) != 5:
        raise CronError(
            "a cron has five fields (minute, hour, day of month, month, day of week), got"
            f" {cron!r}",
            "cron",
        )
    first = next_after(cron, timezone, now)
    if first is None:
        raise CronError(f"{cron!r} never fires: there is no such day", "cron")
    following = islice(firings(cron, timezone, first), MOST_FIRINGS)
    found = [first, *takewhile(lambda at: at < first + LOOK_AHEAD, following)]
    gaps = [later - sooner for sooner, later in pairwise(found)]
    if gaps and min(gaps) < least:
        at = found[gaps.index(min(gaps))].astimezone(zone_of(timezone))
        raise CronError(
            f"{cron!r} fires {min(gaps)} (h:mm:ss) after {at:%F %R}; {least} is the least"
            " (SEVENFOLD_SCHEDULE_MIN_MINUTES)",
            "cron",
        )


def next_after(cron: str, timezone: str, after: datetime) -> datetime | None:
    """The first firing later than ``after``, as a UTC instant; None where there is none."""
    return next(firings(cron, timezone, after), None)


def newest_until(cron: str, timezone: str, since: datetime, until: datetime) -> datetime | None:
    """The last firing later than ``since`` and not later than ``until``; None where there is none.

    Looked for from ``until`` backwards, since a week of every five minutes holds 2,016.
    """
    for window in (timedelta(hours=1), timedelta(days=1), timedelta(days=32), until - since):
        start = max(since, until - window)
        times = takewhile(lambda at: at <= until, firings(cron, timezone, start))
        if found := deque(times, maxlen=1):
            return found[0]
    return None


def firings(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """The firings later than ``after``, in order, as UTC instants; CronError where it is none."""
    zone = zone_of(timezone)
    try:
        times = CronSim(cron, after.astimezone(zone))
    except CronSimError as error:
        raise CronError(f"{cron!r} is no cron expression: {error}", "cron") from error
    last = after.astimezone(UTC)
    for time in times:
        instant = time.astimezone(UTC)
        # Begun in the hour that comes twice, it would first name a time that is over.
        if instant > last:
            yield instant
            last = instant


def zone_of(timezone: str) -> ZoneInfo:
    """The time zone of that IANA name; CronError where there is none."""
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise CronError(
            f"{timezone!r} is no time zone; name one as IANA does, such as Europe/Berlin",
            "timezone",
        ) from error
