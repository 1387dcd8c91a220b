"""Background jobs: asked for, claimed, run under a lease, cancelled, finished, expired.

A job belongs to whoever holds its present ``attempt``: each claim takes the next number, and what
an earlier attempt still writes is refused. So a run that died, or only seemed to, never counts a
row twice, and no state rests on what Dagster believes.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, and_, func, insert, or_, select, update

from warehouse.control_tables import job_chunks, job_rows, jobs
from warehouse.database import utc_now
from warehouse.events import EVENTS
from warehouse.repositories import webhooks
from warehouse.repositories.rows import MOST_PARAMETERS, record, values

Kind = Literal["bulk", "score", "train"]
State = Literal["queued", "running", "cancelling", "cancelled", "completed", "failed", "expired"]
ACTIVE: tuple[State, ...] = ("queued", "running", "cancelling")
FINAL: tuple[State, ...] = ("cancelled", "completed", "failed", "expired")
MOST_STARTS = 10
"""A job whose run died so often has failed."""
MOST_ATTEMPTS = 30
"""So has one for which so many runs were asked, none of which lived."""
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


class LostJobError(RuntimeError):
    """The job is no longer this attempt's: another one took it over, or it has ended."""


def new_id() -> str:
    """An id for a job that is about to be made, under which its file is stored first."""
    return f"job_{secrets.token_hex(12)}"


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
    return next(iter(_fetch(connection, query)), None)


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
    return _fetch(connection, query)


def under_way(connection: Connection, kind: Kind, model: str) -> Job | None:
    """A job of that kind and model that has not ended; None where there is none."""
    query = select(jobs).where(_T.kind == kind, _T.state.in_(ACTIVE), _T.model == model).limit(1)
    return next(iter(_fetch(connection, query)), None)


def asked_for(connection: Connection, kind: Kind, asked_by: str) -> Job | None:
    """The newest job of that kind that was asked for so; None where there is none."""
    query = select(jobs).where(_T.kind == kind, _T.asked_by == asked_by)
    query = query.order_by(_T.created_at.desc()).limit(1)
    return next(iter(_fetch(connection, query)), None)


def last_ended(connection: Connection, kind: Kind, model: str) -> Job | None:
    """The job of that kind and model that ended last; None where none has."""
    query = select(jobs).where(_T.kind == kind, _T.model == model, _T.finished_at.is_not(None))
    query = query.order_by(_T.finished_at.desc()).limit(1)
    return next(iter(_fetch(connection, query)), None)


def overdue(connection: Connection, kind: Kind, now: datetime, limit: int = 100) -> list[Job]:
    """Claimed jobs whose run has not begun before their claim ended, oldest first."""
    query = select(jobs).where(_T.kind == kind, _T.state == "queued", _T.lease_until <= now)
    return _fetch(connection, query.order_by(_T.created_at, _T.id).limit(limit))


def prolong(connection: Connection, overdue: Sequence[Job], until: datetime) -> None:
    """Let the claims of these jobs go on: their runs wait for their turn."""
    for job in overdue:
        ours = [_T.id == job.id, _T.attempt == job.attempt, _T.state == "queued"]
        _changed(connection, ours, {"lease_until": until})


def claim(
    connection: Connection, kind: Kind, now: datetime, lease: timedelta, limit: int = 10
) -> list[Job]:
    """Take jobs that wait, oldest first, and those whose run has died; each is ours for ``lease``.

    A claim that ended is taken again: whoever knows that its run still waits for its turn must
    ``prolong`` it first, else that run comes too late for the job it was asked for. A job whose
    run died ``MOST_STARTS`` times has failed; one that was being cancelled as its run died is
    cancelled.
    """
    left = or_(
        and_(_T.state == "queued", or_(_T.lease_until.is_(None), _T.lease_until <= now)),
        and_(_T.state.in_(("running", "cancelling")), _T.lease_until <= now),
    )
    query = select(jobs).where(_T.kind == kind, left).order_by(_T.created_at, _T.id).limit(limit)
    claimed = []
    for job in _fetch(connection, query):
        ours = [_T.id == job.id, _T.attempt == job.attempt, _T.state == job.state]
        if job.state == "cancelling":
            _end(connection, ours, "cancelled", now)
        elif job.state == "running" and job.starts >= MOST_STARTS:
            said = f"Its run died {job.starts} times; Dagster's log of the runs has the reason."
            _end(connection, ours, "failed", now, error=said)
        elif job.attempt >= MOST_ATTEMPTS:
            said = f"{job.attempt} runs were asked for, and none began; Dagster's log says why."
            _end(connection, ours, "failed", now, error=said)
        else:
            change = {"state": "queued", "attempt": job.attempt + 1, "lease_until": now + lease}
            if _changed(connection, ours, change):
                claimed.append(job.id)
    if not claimed:
        return []
    query = select(jobs).where(_T.id.in_(claimed)).order_by(_T.created_at, _T.id)
    return _fetch(connection, query)


def start(
    connection: Connection, job_id: str, attempt: int, run_id: str, now: datetime, lease: timedelta
) -> Job:
    """Begin the work of a claimed job; LostJobError where it is not this attempt's to begin."""
    ours = [_T.id == job_id, _T.attempt == attempt, _T.state == "queued"]
    change = {
        "state": "running",
        "run_id": run_id,
        "starts": _T.starts + 1,
        "lease_until": now + lease,
        "started_at": func.coalesce(_T.started_at, now),
    }
    if not _changed(connection, ours, change):
        raise _lost(job_id, attempt)
    job = get(connection, job_id)
    assert job is not None
    return job


def renew(
    connection: Connection, job_id: str, attempt: int, now: datetime, lease: timedelta
) -> bool:
    """Say that the work goes on; False where it should stop, since somebody cancelled it.

    LostJobError where the job is no longer this attempt's.
    """
    if not _changed(connection, _running(job_id, attempt), {"lease_until": now + lease}):
        raise _lost(job_id, attempt)
    query = select(_T.state).where(_T.id == job_id)
    return bool(connection.execute(query).scalar_one() == "running")


def tell(connection: Connection, job_id: str, attempt: int, result: Mapping[str, Any]) -> None:
    """Say what is known of a job's result before it ends; later attempts find it.

    LostJobError where the job is no longer this attempt's.
    """
    if not _changed(connection, _running(job_id, attempt), {"result": dict(result)}):
        raise _lost(job_id, attempt)


def chunks(connection: Connection, job_id: str) -> list[Chunk]:
    """The finished chunks, in order."""
    query = select(job_chunks).where(job_chunks.c.job == job_id).order_by(job_chunks.c.number)
    return [record(Chunk, row) for row in connection.execute(query).mappings()]


def add_chunk(
    connection: Connection, job_id: str, attempt: int, chunk: Chunk, errors: Sequence[RowError]
) -> None:
    """Record a finished chunk and count its rows; of all ``errors`` the first ``SAMPLE`` stay.

    LostJobError where the job is no longer this attempt's.
    """
    counts = {
        "rows_ok": _T.rows_ok + chunk.rows_ok,
        "rows_error": _T.rows_error + chunk.rows_error,
    }
    if not _changed(connection, _running(job_id, attempt), counts):
        raise _lost(job_id, attempt)
    now = utc_now()
    row = {"job": job_id, **values(chunk), "finished_at": now}
    connection.execute(insert(job_chunks).values(**row))
    kept = select(func.count()).select_from(job_rows).where(job_rows.c.job == job_id)
    room = SAMPLE - connection.execute(kept).scalar_one()
    if errors and room > 0:
        sample = [{"job": job_id, **values(one)} for one in errors[:room]]
        connection.execute(insert(job_rows), sample)


def errors(connection: Connection, job_id: str) -> list[RowError]:
    """The sample of a job's errors, by line."""
    query = select(job_rows).where(job_rows.c.job == job_id).order_by(job_rows.c.line)
    return [record(RowError, row) for row in connection.execute(query).mappings()]


def finish(
    connection: Connection,
    job_id: str,
    attempt: int,
    state: Literal["completed", "failed", "cancelled"],
    now: datetime,
    error: str | None = None,
    result: Mapping[str, Any] | None = None,
) -> None:
    """End a job that this attempt ran; LostJobError where it is no longer this attempt's."""
    if not _end(connection, _running(job_id, attempt), state, now, error, result):
        raise _lost(job_id, attempt)


def refuse(connection: Connection, job: Job, now: datetime, error: str) -> None:
    """End a claimed job that cannot be begun; nothing where it is no longer this attempt's."""
    ours = [_T.id == job.id, _T.attempt == job.attempt, _T.state == "queued"]
    _end(connection, ours, "failed", now, error)


def cancel(connection: Connection, job_id: str, now: datetime) -> State | None:
    """Ask a job to end: at once where it waits, soon where it runs; the state it has then.

    A job that has ended stays as it is; None where there is none of that id.
    """
    waiting = [_T.id == job_id, _T.state == "queued"]
    running = [_T.id == job_id, _T.state == "running"]
    if not _end(connection, waiting, "cancelled", now):
        # Claimed again between both, it waits anew.
        changed = _changed(connection, running, {"state": "cancelling"})
        if not changed:
            _end(connection, waiting, "cancelled", now)
    found = get(connection, job_id)
    return None if found is None else found.state


def ended_before(connection: Connection, instant: datetime, limit: int = 100) -> list[str]:
    """Bulk jobs that ended before that instant and still have files, oldest first."""
    over = [_T.state.in_(FINAL), _T.state != "expired", _T.finished_at < instant]
    over.append(_T.kind == "bulk")
    query = select(_T.id).where(*over).order_by(_T.finished_at).limit(limit)
    return list(connection.execute(query).scalars())


def with_files(connection: Connection, job_ids: Sequence[str]) -> set[str]:
    """Which of these jobs are there and have not expired."""
    found: set[str] = set()
    for start in range(0, len(job_ids), MOST_PARAMETERS):
        some = job_ids[start : start + MOST_PARAMETERS]
        query = select(_T.id).where(_T.id.in_(some), _T.state != "expired")
        found.update(connection.execute(query).scalars())
    return found


def expire(connection: Connection, job_ids: Sequence[str]) -> None:
    """Mark ended jobs whose files are about to go."""
    over = [_T.id.in_(job_ids), _T.state.in_(FINAL)]
    connection.execute(update(jobs).where(*over).values(state="expired"))


def _end(
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


def _running(job_id: str, attempt: int) -> list[ColumnElement[bool]]:
    return [
        _T.id == job_id,
        _T.attempt == attempt,
        _T.state.in_(("running", "cancelling")),
    ]


def _changed(
    connection: Connection, where: Sequence[ColumnElement[bool]], change: Mapping[str, Any]
) -> bool:
    return connection.execute(update(jobs).where(*where).values(**change)).rowcount == 1


def _lost(job_id: str, attempt: int) -> LostJobError:
    return LostJobError(
        f"attempt {attempt} of {job_id} is over: another one took the job, or it has ended"
    )


def _fetch(connection: Connection, query: Select[Any]) -> list[Job]:
    return [record(Job, row) for row in connection.execute(query).mappings()]
