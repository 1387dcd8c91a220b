"""Schedules that people make while everything runs: what fires next, and what each firing came to.

``next_at`` is the only clock: whoever moves it has fired that time, so no time fires twice,
however many look at once. Every change of a schedule computes it anew from now, so nothing fires
early.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from warehouse.control_tables import jobs as jobs_table
from warehouse.control_tables import schedule_runs, schedules
from warehouse.cron import CronError, newest_until, next_after
from warehouse.database import one_at_a_time
from warehouse.repositories import jobs, webhooks
from warehouse.repositories.rows import record, values

Action = Literal["bulk", "score", "train"]
Missed = Literal["run_once", "skip"]
Outcome = Literal["started", "overlapped", "missed"]
MISSED_AFTER = timedelta(minutes=10)
"""A time that nobody looked at for so long was missed; before that it is only late."""
_S, _R = schedules.c, schedule_runs.c


@dataclass(frozen=True)
class Schedule:
    """When to do what; times are UTC instants, ``next_at`` None while it is paused."""

    id: str
    name: str
    model: str
    action: Action
    cron: str
    timezone: str
    params: Mapping[str, Any]
    missed: Missed
    paused: bool
    next_at: datetime | None
    owner: str
    created_by: str
    created_at: datetime
    changed_at: datetime


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


def create(
    connection: Connection,
    *,
    name: str,
    model: str,
    action: Action,
    cron: str,
    timezone: str,
    params: Mapping[str, Any],
    missed: Missed,
    paused: bool,
    owner: str,
    created_by: str,
    now: datetime,
) -> Schedule:
    """Keep a schedule whose cron was checked; it fires first after ``now``."""
    made = Schedule(
        id=f"sch_{secrets.token_hex(12)}",
        name=name,
        model=model,
        action=action,
        cron=cron,
        timezone=timezone,
        params=dict(params),
        missed=missed,
        paused=paused,
        next_at=None if paused else next_after(cron, timezone, now),
        owner=owner,
        created_by=created_by,
        created_at=now,
        changed_at=now,
    )
    connection.execute(insert(schedules).values(**values(made)))
    return made


def get(connection: Connection, schedule_id: str) -> Schedule | None:
    """The schedule of that id; None where there is none, or where it was deleted."""
    if not schedule_id.isprintable():
        return None  # PostgreSQL refuses to be asked for some of it
    return next(iter(_fetch(connection, _there().where(_S.id == schedule_id))), None)


def page(
    connection: Connection, limit: int, after: tuple[datetime, str] | None = None
) -> list[Schedule]:
    """At most ``limit`` schedules, newest first, that follow the ``(created_at, id)`` of a last."""
    query = _there().order_by(_S.created_at.desc(), _S.id.desc()).limit(limit)
    if after is not None:
        at, schedule_id = after
        query = query.where(or_(_S.created_at < at, and_(_S.created_at == at, _S.id < schedule_id)))
    return _fetch(connection, query)


def change(
    connection: Connection, schedule_id: str, changes: Mapping[str, Any], now: datetime
) -> Schedule | None:
    """Change it, and compute when it fires next from now; None where there is none.

    A time that was due and had not fired yet is given up: who edits a schedule means the future.
    Where everything is as it should be already, nothing is changed.
    """
    one_at_a_time(connection, schedule_id)
    before = get(connection, schedule_id)
    if before is None or changes.items() <= values(before).items():
        return before
    new = {**values(before), **changes, "changed_at": now}
    # Not before what has fired already, should the clock have been set back since.
    fired = select(func.max(_R.due_at)).where(_R.schedule == schedule_id, ~_R.by_hand)
    start = max(now, connection.execute(fired).scalar_one_or_none() or now)
    new["next_at"] = None if new["paused"] else next_after(new["cron"], new["timezone"], start)
    connection.execute(update(schedules).where(*_present(schedule_id)).values(**new))
    return get(connection, schedule_id)


def delete(connection: Connection, schedule_id: str, now: datetime) -> bool:
    """Let it fire no more; what it fired stays. Whether there was one."""
    gone = {"deleted_at": now, "next_at": None}
    statement = update(schedules).where(*_present(schedule_id)).values(**gone)
    return connection.execute(statement).rowcount == 1


def fire_due(connection: Connection, now: datetime, limit: int = 50) -> list[ScheduleRun]:
    """Fire what is due: a job for each schedule, or why there is none.

    Of several times that were missed only the last may still run; the others are told of in one
    row, at the first of them.
    """
    query = _there().where(_S.next_at <= now).order_by(_S.next_at, _S.id).limit(limit)
    return [
        run for schedule in _fetch(connection, query) for run in _fire(connection, schedule, now)
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


def runs(
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
    ours = [*_present(schedule.id), _S.next_at == first, _S.changed_at == schedule.changed_at]
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


def _there() -> Select[Any]:
    return select(*(_S[name] for name in Schedule.__dataclass_fields__)).where(
        _S.deleted_at.is_(None)
    )


def _present(schedule_id: str) -> list[ColumnElement[bool]]:
    return [_S.id == schedule_id, _S.deleted_at.is_(None)]


def _fetch(connection: Connection, query: Select[Any]) -> list[Schedule]:
    return [record(Schedule, row) for row in connection.execute(query).mappings()]
