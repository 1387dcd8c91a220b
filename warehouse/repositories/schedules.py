"""Schedules that people make while everything runs: what each is, and when it fires next.

``next_at`` is the only clock: whoever moves it has fired that time
(:mod:`warehouse.repositories.schedule_runs`). Every change of a schedule computes it anew from now,
so nothing fires early.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, and_, func, insert, or_, select, update

from warehouse.control_tables import schedule_runs, schedules
from warehouse.cron import next_after
from warehouse.database import one_at_a_time
from warehouse.repositories.rows import record, values

Action = Literal["bulk", "score", "train"]
Missed = Literal["run_once", "skip"]
_S, _R = schedules.c, schedule_runs.c
PRESENT = _S.deleted_at.is_(None)
"""Of a schedule that was not deleted."""


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
    return next(iter(fetch(connection, there().where(_S.id == schedule_id))), None)


def page(
    connection: Connection, limit: int, after: tuple[datetime, str] | None = None
) -> list[Schedule]:
    """At most ``limit`` schedules, newest first, that follow the ``(created_at, id)`` of a last."""
    query = there().order_by(_S.created_at.desc(), _S.id.desc()).limit(limit)
    if after is not None:
        at, schedule_id = after
        query = query.where(or_(_S.created_at < at, and_(_S.created_at == at, _S.id < schedule_id)))
    return fetch(connection, query)


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
    connection.execute(update(schedules).where(_S.id == schedule_id, PRESENT).values(**new))
    return get(connection, schedule_id)


def delete(connection: Connection, schedule_id: str, now: datetime) -> bool:
    """Let it fire no more; what it fired stays. Whether there was one."""
    gone = {"deleted_at": now, "next_at": None}
    statement = update(schedules).where(_S.id == schedule_id, PRESENT).values(**gone)
    return connection.execute(statement).rowcount == 1


def there() -> Select[Any]:
    """All schedules that were not deleted, to be narrowed."""
    return select(*(_S[name] for name in Schedule.__dataclass_fields__)).where(PRESENT)


def fetch(connection: Connection, query: Select[Any]) -> list[Schedule]:
    """The schedules of a query made from :func:`there`."""
    return [record(Schedule, row) for row in connection.execute(query).mappings()]
