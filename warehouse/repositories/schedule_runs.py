"""The times of schedules that came due, or were run by hand, and what each came to.

Whoever moves a schedule's ``next_at`` has fired that time, so no time fires twice, however many
look at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, insert, select, tuple_, update

from warehouse.control_tables import jobs as jobs_table
from warehouse.control_tables import schedule_runs, schedules
from warehouse.cron import CronError, newest_until, next_after
from warehouse.database import one_at_a_time
from warehouse.repositories import jobs, webhooks
from warehouse.repositories.rows import record
from warehouse.repositories.schedules import PRESENT, Schedule, fetch, there

Outcome = Literal["started", "overlapped", "missed"]
MISSED_AFTER = timedelta(minutes=10)
"""A time that nobody looked at for so long was missed; before that it is only late."""
_S, _R = schedules.c, schedule_runs.c


@dataclass(frozen=True)
class ScheduleRun:
    """What became of one time that came due, or of one run by hand.

    ``overlapped``: the job of an earlier time, or a training of the model, was still under way;
    ``missed``: nothing looked in time. ``job_state`` and ``run_id`` (Dagster's) are those of its
    job.
    """

    schedule: str
    due_at: datetime
    by_hand: bool
    fired_at: datetime
    outcome: Outcome
    detail: str | None = None
    job: str | None = None
    job_state: str | None = None
    run_id: str | None = None

    @property
    def late_seconds(self) -> float:
        """How long after its time it fired."""
        return (self.fired_at - self.due_at).total_seconds()


class UnderWayError(RuntimeError):
    """What the schedule does is being done; ``job`` is the id of the job that does it."""

    def __init__(self, job: str) -> None:
        super().__init__(f"job {job} does this, and is still under way")
        self.job = job


def fire_due(connection: Connection, now: datetime, limit: int = 50) -> list[ScheduleRun]:
    """Fire what is due: a job for each schedule, or why there is none.

    Of several times that were missed only the last may still run; the others are told of in one
    row, at the first of them.
    """
    query = there().where(_S.next_at <= now).order_by(_S.next_at, _S.id).limit(limit)
    return [
        run for schedule in fetch(connection, query) for run in _fire(connection, schedule, now)
    ]


def run_by_hand(
    connection: Connection, schedule: Schedule, asked_by: str, now: datetime
) -> ScheduleRun:
    """Do now what the schedule does; UnderWayError while its last job has not ended."""
    one_at_a_time(connection, schedule.id)
    busy = _under_way(connection, schedule)
    if busy is not None:
        raise UnderWayError(busy)
    return _start(connection, schedule, now, now, asked_by, by_hand=True)


def page(
    connection: Connection,
    schedule_id: str,
    limit: int,
    after: tuple[datetime, bool] | None = None,
) -> list[ScheduleRun]:
    """What became of its times, newest first, behind the ``(due_at, by_hand)`` of a last one."""
    query = (
        select(schedule_runs, jobs_table.c.state.label("job_state"), jobs_table.c.run_id)
        .outerjoin(jobs_table, jobs_table.c.id == _R.job)
        .where(_R.schedule == schedule_id)
        .order_by(_R.due_at.desc(), _R.by_hand.desc())
        .limit(limit)
    )
    if after is not None:
        due_at, by_hand = after
        query = query.where(tuple_(_R.due_at, _R.by_hand) < tuple_(due_at, by_hand))
    return [record(ScheduleRun, row) for row in connection.execute(query).mappings()]


def _fire(connection: Connection, schedule: Schedule, now: datetime) -> list[ScheduleRun]:
    first = schedule.next_at
    assert first is not None, "only what has a next time is due"
    one_at_a_time(connection, schedule.id)
    # As it was read: another one may have fired it, or somebody edited it.
    ours = [
        _S.id == schedule.id,
        PRESENT,
        _S.next_at == first,
        _S.changed_at == schedule.changed_at,
    ]
    try:
        last = newest_until(schedule.cron, schedule.timezone, first, now) or first
        following = next_after(schedule.cron, schedule.timezone, last)
    except CronError as error:
        # Of a zone that this machine does not know, say: the other schedules go on.
        stopped = update(schedules).where(*ours).values(next_at=None, paused=True)
        if connection.execute(stopped).rowcount != 1:
            return []
        return [_told(connection, schedule, first, now, "missed", f"paused, since {error}")]
    moved = update(schedules).where(*ours).values(next_at=following)
    if connection.execute(moved).rowcount != 1:
        return []
    found = []
    if last > first:
        detail = f"missed with all that follow until {_when(last)}"
        found.append(_told(connection, schedule, first, now, "missed", detail))
    if now - last > MISSED_AFTER and schedule.missed == "skip":
        if last > first:
            return found
        return [_told(connection, schedule, last, now, "missed", "nothing looked in time")]
    busy = _under_way(connection, schedule)
    if busy is not None:
        detail = f"job {busy} was still under way"
        return [*found, _told(connection, schedule, last, now, "overlapped", detail)]
    return [*found, _start(connection, schedule, last, now, f"schedule:{schedule.id}")]


def _start(
    connection: Connection,
    schedule: Schedule,
    due_at: datetime,
    now: datetime,
    asked_by: str,
    by_hand: bool = False,
) -> ScheduleRun:
    job = jobs.create(
        connection, schedule.action, schedule.model, schedule.owner, asked_by, schedule.params
    )
    return _told(connection, schedule, due_at, now, "started", None, job.id, by_hand)


def _told(
    connection: Connection,
    schedule: Schedule,
    due_at: datetime,
    now: datetime,
    outcome: Outcome,
    detail: str | None,
    job: str | None = None,
    by_hand: bool = False,
) -> ScheduleRun:
    run = ScheduleRun(
        schedule.id, due_at, by_hand, now, outcome, detail, job, "queued" if job else None
    )
    if outcome == "missed":
        told = {
            "schedule": schedule.id,
            "name": schedule.name,
            "model": schedule.model,
            "action": schedule.action,
            "due_at": due_at,
        }
        webhooks.publish(connection, "schedule.missed", None, told, now)
    row = {column.name: getattr(run, column.name) for column in schedule_runs.c}
    connection.execute(insert(schedule_runs).values(**row))
    return run


def _under_way(connection: Connection, schedule: Schedule) -> str | None:
    """The job of an earlier time; of a training also any other that trains the model."""
    if schedule.action == "train":
        busy = jobs.under_way(connection, "train", schedule.model)
        return None if busy is None else busy.id
    query = (
        select(_R.job)
        .join(jobs_table, jobs_table.c.id == _R.job)
        .where(_R.schedule == schedule.id, jobs_table.c.state.in_(jobs.ACTIVE))
        .limit(1)
    )
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def _when(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
