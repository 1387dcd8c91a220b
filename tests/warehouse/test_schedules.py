"""Schedules fire when their cron does, once, through edits, pauses, downtime and overlaps."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from random import Random
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from sqlalchemy import Connection, Engine, update

from tests.warehouse.desk import Transactions
from warehouse.control_tables import schedules as schedules_table
from warehouse.database import reading, writing
from warehouse.repositories import job_leases, jobs, schedule_runs, schedules
from warehouse.repositories.schedule_runs import MISSED_AFTER, ScheduleRun, UnderWayError
from warehouse.repositories.schedules import Schedule

T = TypeVar("T")
START = datetime(2025, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
HOUR = timedelta(hours=1)


class Desk(Transactions):
    """What tests do with schedules."""

    def make(self, cron: str = "0 * * * *", zone: str = "UTC", **more: Any) -> Schedule:
        given: dict[str, Any] = {
            "name": "nightly",
            "model": "churn",
            "action": "score",
            "params": {},
            "missed": "run_once",
            "paused": False,
            "owner": "ann",
            "created_by": "key:1",
            "now": START,
        }
        made: Schedule = self(schedules.create, cron=cron, timezone=zone, **given | more)
        return made

    def fire(self, now: datetime) -> list[ScheduleRun]:
        return self(schedule_runs.fire_due, now)

    def runs(self, schedule: Schedule) -> list[ScheduleRun]:
        with reading(self.engine) as connection:
            return schedule_runs.page(connection, schedule.id, 10_000)[::-1]

    def finish(self) -> None:
        """End every job that waits, as their runs would."""
        self(_end_all, START)


def _end_all(connection: Connection, now: datetime) -> None:
    for job in job_leases.claim(connection, "score", now, HOUR, limit=1_000):
        begun = job_leases.start(connection, job.id, job.attempt, "run", now, HOUR)
        job_leases.finish(connection, begun.id, begun.attempt, "completed", now)


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


def own_list(cron: str, zone: str, since: datetime, until: datetime) -> list[datetime]:
    """What the cron lists by itself after one instant and not after another."""
    times: Iterator[datetime] = CronSim(cron, since.astimezone(ZoneInfo(zone)))
    listed = (time.astimezone(UTC) for time in times)
    return [at for at in takewhile(lambda at: at <= until, listed) if at > since]


EDITED = "15 1,9 * * 1-6"
# In the night of the change a time of day is there once, and every hour as often as there is one.
CRONS = [
    pytest.param("postgres", "30 2 * * *", "Europe/Berlin", marks=pytest.mark.postgres),
    ("sqlite", "30 2 * * *", "Europe/Berlin"),
    ("sqlite", "30 2 * * *", "America/New_York"),
    ("sqlite", "30 2 * * *", "Asia/Kolkata"),
    ("sqlite", "0 * 24-31 3,10 *", "Europe/Berlin"),
    ("sqlite", "*/30 1,2 1-9 3,11 *", "America/New_York"),
]


@pytest.mark.parametrize(("warehouse_url", "first", "zone"), CRONS, indirect=["warehouse_url"])
def test_over_a_year_the_firings_are_the_crons_own_list_through_edits_and_pauses(
    desk: Desk, first: str, zone: str
) -> None:
    """A clock that jumps to each time that is due, and a little beyond it."""
    random = Random(11)
    schedule = desk.make(first, zone)
    edits = {
        START + timedelta(days=95, hours=3): {"cron": EDITED},
        START + timedelta(days=150, hours=20): {"paused": True},
        START + timedelta(days=171, hours=5): {"paused": False},
        START + timedelta(days=296, hours=7): {"cron": first},
        START + timedelta(days=330): {"timezone": "UTC"},
    }
    expected: list[datetime] = []
    since, cron, where, paused = START, first, zone, False
    for at, change in [*edits.items(), (START + YEAR, {})]:
        if not paused:
            expected += own_list(cron, where, since, at)
        cron, where = change.get("cron", cron), change.get("timezone", where)
        paused, since = bool(change.get("paused", False)), at

    present: Schedule | None = schedule
    for until in [*edits, START + YEAR]:
        while present and present.next_at and present.next_at <= until:
            now = present.next_at + timedelta(seconds=random.uniform(0, 15))
            assert desk.fire(present.next_at - timedelta(seconds=1)) == [], "nothing fires early"
            [run] = desk.fire(now)
            assert run.outcome == "started"
            assert desk.fire(now) == [], "nothing fires twice"
            desk.finish()
            present = desk(schedules.get, schedule.id)
        present = desk(schedules.change, schedule.id, edits.get(until, {}), until)
    assert [run.due_at for run in desk.runs(schedule)] == expected
    assert len(expected) > 300


def test_many_that_look_at_once_fire_each_time_once(desk: Desk) -> None:
    made = [desk.make(name=f"number {number}") for number in range(5)]
    now = START + HOUR
    with ThreadPoolExecutor(8) as pool:
        fired = [run for found in pool.map(lambda _: desk.fire(now), range(8)) for run in found]
    assert sorted(run.schedule for run in fired) == sorted(one.id for one in made)
    assert all(len(desk.runs(one)) == 1 for one in made)


def test_of_times_missed_while_nothing_looked_the_last_runs_once(desk: Desk) -> None:
    schedule = desk.make()
    now = START + timedelta(hours=50, minutes=30)
    missed, started = desk.fire(now)
    assert (missed.outcome, missed.due_at, missed.job) == ("missed", START + HOUR, None)
    assert "until 2025-01-03T02:00:00Z" in str(missed.detail)
    assert (started.outcome, started.due_at) == ("started", START + 50 * HOUR)
    assert started.late_seconds == 1800
    following = desk(schedules.get, schedule.id)
    assert following is not None
    assert following.next_at == START + 51 * HOUR
    assert desk.fire(now) == []


def test_or_none_of_them_where_the_schedule_says_so(desk: Desk) -> None:
    schedule = desk.make(missed="skip")
    [missed] = desk.fire(START + timedelta(hours=50, minutes=30))
    assert missed.outcome == "missed"
    [alone] = desk.fire(START + 51 * HOUR + MISSED_AFTER + timedelta(seconds=1))
    assert (alone.outcome, alone.due_at) == ("missed", START + 51 * HOUR)
    [late] = desk.fire(START + 52 * HOUR + MISSED_AFTER)
    assert late.outcome == "started", "late is not missed"
    assert [run.outcome for run in desk.runs(schedule)] == ["missed", "missed", "started"]


def test_while_its_last_job_is_under_way_it_starts_no_other(desk: Desk) -> None:
    schedule = desk.make()
    [first] = desk.fire(START + HOUR)
    [second] = desk.fire(START + 2 * HOUR)
    assert (second.outcome, second.job) == ("overlapped", None)
    assert str(first.job) in str(second.detail)
    with pytest.raises(UnderWayError, match=str(first.job)):
        desk(schedule_runs.run_by_hand, schedule, "ann", START + 2 * HOUR)
    desk.finish()
    by_hand = desk(schedule_runs.run_by_hand, schedule, "ann", START + 2 * HOUR)
    desk.finish()
    [third] = desk.fire(START + 3 * HOUR)
    assert (by_hand.by_hand, third.outcome) == (True, "started")
    told = [(run.outcome, run.job_state, run.run_id) for run in desk.runs(schedule)]
    assert told == [
        ("started", "completed", "run"),
        ("overlapped", None, None),
        ("started", "completed", "run"),
        ("started", "queued", None),
    ]


def test_an_edit_gives_up_what_was_due_and_never_repeats_what_fired(desk: Desk) -> None:
    schedule = desk.make()
    late = START + timedelta(hours=1, minutes=5)
    changed = desk(schedules.change, schedule.id, {"name": "other"}, late)
    assert changed is not None
    assert changed.next_at == START + 2 * HOUR
    [run] = desk.fire(START + 2 * HOUR)
    back = START + timedelta(hours=1, minutes=30)
    changed = desk(schedules.change, schedule.id, {"name": "again"}, back)
    assert changed is not None
    assert (run.due_at, changed.next_at) == (START + 2 * HOUR, START + 3 * HOUR)


def test_an_edit_that_changes_nothing_gives_up_nothing(desk: Desk) -> None:
    schedule = desk.make()
    late = START + timedelta(hours=1, minutes=5)
    for same in ({}, {"name": "nightly"}, {"params": {}, "paused": False}):
        assert desk(schedules.change, schedule.id, same, late) == schedule
    [run] = desk.fire(late)
    assert (run.due_at, run.outcome) == (START + HOUR, "started")


def test_of_edits_at_once_each_holds(desk: Desk) -> None:
    schedule = desk.make()
    edits = ({"name": "other"}, {"paused": True}, {"missed": "skip"}, {"params": {"a": 1}})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda edit: desk(schedules.change, schedule.id, edit, START), edits))
    after = desk(schedules.get, schedule.id)
    assert after is not None
    assert (after.name, after.paused, after.missed) == ("other", True, "skip")
    assert (after.params, after.next_at) == ({"a": 1}, None)


def test_an_edit_waits_for_a_firing_that_is_not_committed_and_repeats_it_not(desk: Desk) -> None:
    schedule = desk.make()
    before, due = START + HOUR - timedelta(seconds=1), START + HOUR
    with ThreadPoolExecutor(1) as pool:
        with writing(desk.engine) as connection:
            schedule_runs.fire_due(connection, due)
            edit = pool.submit(desk, schedules.change, schedule.id, {"name": "other"}, before)
            with pytest.raises(TimeoutError):
                edit.result(0.3)
        changed = edit.result(30)
    assert changed is not None
    assert changed.next_at == due + HOUR


def test_a_training_that_somebody_asked_for_leaves_a_schedule_nothing_to_do(desk: Desk) -> None:
    schedule = desk.make(action="train")
    asked = desk(jobs.create, "train", "churn", "bob", "key:2", {})
    [run] = desk.fire(START + HOUR)
    assert (run.outcome, run.job) == ("overlapped", None)
    assert asked.id in str(run.detail)
    with pytest.raises(UnderWayError, match=asked.id):
        desk(schedule_runs.run_by_hand, schedule, "key:1", START + HOUR)
    other = desk.make(action="train", model="demand")
    assert desk(schedule_runs.run_by_hand, other, "key:1", START + HOUR).outcome == "started"


def test_a_deleted_schedule_fires_no_more_and_keeps_its_history(desk: Desk) -> None:
    schedule = desk.make()
    desk.fire(START + HOUR)
    assert desk(schedules.delete, schedule.id, START + HOUR)
    assert not desk(schedules.delete, schedule.id, START + HOUR)
    assert desk(schedules.get, schedule.id) is None
    assert desk(schedules.change, schedule.id, {"paused": False}, START + HOUR) is None
    assert desk.fire(START + YEAR) == []
    assert len(desk.runs(schedule)) == 1


def test_pages_hold_every_schedule_once_newest_first(desk: Desk) -> None:
    made = [desk.make(now=START + timedelta(minutes=number // 2)) for number in range(7)]
    seen: list[str] = []
    after = None
    while page := desk(schedules.page, 3, after):
        seen += [one.id for one in page]
        after = (page[-1].created_at, page[-1].id)
    expected = sorted(made, key=lambda one: (one.created_at, one.id), reverse=True)
    assert seen == [one.id for one in expected]
    assert desk(schedules.get, "sch_\0") is None


def test_one_that_cannot_be_computed_is_paused_and_stops_no_other(desk: Desk) -> None:
    odd, other = desk.make(), desk.make()
    with writing(desk.engine) as connection:
        connection.execute(
            update(schedules_table)
            .where(schedules_table.c.id == odd.id)
            .values(timezone="Mars/Olympus")
        )
    fired = {run.schedule: run for run in desk.fire(START + HOUR)}
    assert fired[other.id].outcome == "started"
    assert "Mars/Olympus" in str(fired[odd.id].detail)
    paused = desk(schedules.get, odd.id)
    assert paused is not None
    assert (paused.paused, paused.next_at) == (True, None)


def test_two_that_start_it_by_hand_at_once_start_it_once(desk: Desk) -> None:
    schedule = desk.make()

    def start(number: int) -> bool:
        try:
            desk(schedule_runs.run_by_hand, schedule, "ann", START + timedelta(seconds=number))
        except UnderWayError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(start, range(8))) == 1
