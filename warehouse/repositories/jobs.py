"""Background jobs: asked for, looked at, cancelled. ``job_leases`` has how they are run."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, and_, insert, or_, select, update

from warehouse.control_tables import job_chunks, job_rows, jobs
from warehouse.database import utc_now
from warehouse.events import EVENTS
from warehouse.job_files import JOB
from warehouse.repositories import webhooks
from warehouse.repositories.rows import record, values

Kind = Literal["bulk", "score", "train"]
State = Literal["queued", "running", "cancelling", "cancelled", "completed", "failed", "expired"]
ACTIVE: tuple[State, ...] = ("queued", "running", "cancelling")
FINAL: tuple[State, ...] = ("cancelled", "completed", "failed", "expired")
SAMPLE = 100
"""Errors of a job that are kept here; its parts hold every row's outcome."""
_T = jobs.c


@dataclass(frozen=True)
class Job:
    """A job; times are UTC instants, the counts those of its finished chunks.

    ``lease_until`` is when the present claim or run counts as dead, ``starts`` how often the work
    began, ``run_id`` the run that did or does it.
    """

    id: str
    kind: Kind
    model: str
    owner: str
    asked_by: str
    state: State
    params: Mapping[str, Any]
    created_at: datetime
    attempt: int = 0
    starts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lease_until: datetime | None = None
    run_id: str | None = None
    rows_ok: int = 0
    rows_error: int = 0
    bytes: int | None = None
    error: str | None = None
    result: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Chunk:
    """Rows of a bulk job that were answered together, and the part that holds their outcomes."""

    number: int
    rows_ok: int
    rows_error: int
    part: str


@dataclass(frozen=True)
class RowError:
    """Why a line of a file has no decision."""

    line: int
    code: str
    detail: str


def new_id() -> str:
    """An id for a job that is about to be made, under which its file is stored first."""
    return f"{JOB}{secrets.token_hex(12)}"


def create(
    connection: Connection,
    kind: Kind,
    model: str,
    owner: str,
    asked_by: str,
    params: Mapping[str, Any],
    job_id: str | None = None,
    size: int | None = None,
    claimed_until: datetime | None = None,
) -> Job:
    """Queue a job; ``size`` is that of its file in bytes.

    With ``claimed_until`` it is claimed as it is made, by whoever asks for its run now.
    """
    job = Job(
        id=job_id or new_id(),
        kind=kind,
        model=model,
        owner=owner,
        asked_by=asked_by,
        state="queued",
        params=dict(params),
        created_at=utc_now(),
        attempt=0 if claimed_until is None else 1,
        lease_until=claimed_until,
        bytes=size,
    )
    connection.execute(insert(jobs).values(**values(job)))
    return job


def get(connection: Connection, job_id: str, owner: str | None = None) -> Job | None:
    """The job of that id; None where there is none, or where it is another owner's."""
    if not job_id.isprintable():
        return None  # PostgreSQL refuses to be asked for some of it
    query = select(jobs).where(_T.id == job_id)
    if owner is not None:
        query = query.where(_T.owner == owner)
    return next(iter(fetch(connection, query)), None)


def page(
    connection: Connection,
    limit: int,
    after: tuple[datetime, str] | None = None,
    owner: str | None = None,
    states: Sequence[State] = (),
    kinds: Sequence[Kind] = (),
    models: Sequence[str] = (),
) -> list[Job]:
    """At most ``limit`` jobs, newest first, that follow the ``(created_at, id)`` of a last one."""
    query = select(jobs).order_by(_T.created_at.desc(), _T.id.desc()).limit(limit)
    if owner is not None:
        query = query.where(_T.owner == owner)
    if states:
        query = query.where(_T.state.in_(states))
    if kinds:
        query = query.where(_T.kind.in_(kinds))
    if models:
        query = query.where(_T.model.in_(models))
    if after is not None:
        at, job_id = after
        query = query.where(or_(_T.created_at < at, and_(_T.created_at == at, _T.id < job_id)))
    return fetch(connection, query)


def under_way(connection: Connection, kind: Kind, model: str) -> Job | None:
    """A job of that kind and model that has not ended; None where there is none."""
    query = select(jobs).where(_T.kind == kind, _T.state.in_(ACTIVE), _T.model == model).limit(1)
    return next(iter(fetch(connection, query)), None)


def asked_for(connection: Connection, kind: Kind, asked_by: str) -> Job | None:
    """The newest job of that kind that was asked for so; None where there is none."""
    query = select(jobs).where(_T.kind == kind, _T.asked_by == asked_by)
    query = query.order_by(_T.created_at.desc()).limit(1)
    return next(iter(fetch(connection, query)), None)


def last_ended(connection: Connection, kind: Kind, model: str) -> Job | None:
    """The job of that kind and model that ended last, of those that began; None without one."""
    query = select(jobs).where(_T.kind == kind, _T.model == model)
    query = query.where(_T.started_at.is_not(None), _T.finished_at.is_not(None))
    query = query.order_by(_T.finished_at.desc()).limit(1)
    return next(iter(fetch(connection, query)), None)


def chunks(connection: Connection, job_id: str) -> list[Chunk]:
    """The finished chunks, in order."""
    query = select(job_chunks).where(job_chunks.c.job == job_id).order_by(job_chunks.c.number)
    return [record(Chunk, row) for row in connection.execute(query).mappings()]


def errors(connection: Connection, job_id: str) -> list[RowError]:
    """The sample of a job's errors, by line."""
    query = select(job_rows).where(job_rows.c.job == job_id).order_by(job_rows.c.line)
    return [record(RowError, row) for row in connection.execute(query).mappings()]


def cancel(connection: Connection, job_id: str, now: datetime) -> State | None:
    """Ask a job to end: at once where it waits, soon where it runs; the state it has then.

    A job that has ended stays as it is; None where there is none of that id.
    """
    waiting = [_T.id == job_id, _T.state == "queued"]
    running = [_T.id == job_id, _T.state == "running"]
    if not end_where(connection, waiting, "cancelled", now):
        # Claimed again between both, it waits anew.
        changed = change_where(connection, running, {"state": "cancelling"})
        if not changed:
            end_where(connection, waiting, "cancelled", now)
    found = get(connection, job_id)
    return None if found is None else found.state


def end_where(
    connection: Connection,
    where: Sequence[ColumnElement[bool]],
    state: State,
    now: datetime,
    error: str | None = None,
    result: Mapping[str, Any] | None = None,
) -> bool:
    change: dict[str, Any] = {
        "state": state,
        "finished_at": now,
        "lease_until": None,
        "error": error,
    }
    if result is not None:
        change["result"] = dict(result)
    query = update(jobs).where(*where).values(**change).returning(*_T)
    ended = [record(Job, row) for row in connection.execute(query).mappings()]
    for job in ended:
        told = {name: getattr(job, name) for name in EVENTS[f"job.{state}"].fields}
        webhooks.publish(connection, f"job.{state}", job.owner, told, now)
    return bool(ended)


def change_where(
    connection: Connection, where: Sequence[ColumnElement[bool]], change: Mapping[str, Any]
) -> bool:
    return connection.execute(update(jobs).where(*where).values(**change)).rowcount == 1


def fetch(connection: Connection, query: Select[Any]) -> list[Job]:
    return [record(Job, row) for row in connection.execute(query).mappings()]
