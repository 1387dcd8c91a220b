"""Background jobs as they are run: claimed, begun, renewed under a lease, finished.

A job belongs to whoever holds its present ``attempt``: each claim takes the next number, and what
an earlier attempt still writes is refused. So a run that died, or only seemed to, never counts a
row twice, and no state rests on what Dagster believes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select

from warehouse.control_tables import job_chunks, job_rows, jobs
from warehouse.database import utc_now
from warehouse.repositories.jobs import (
    SAMPLE,
    Chunk,
    Job,
    Kind,
    RowError,
    change_where,
    end_where,
    fetch,
    get,
)
from warehouse.repositories.rows import values

MOST_STARTS = 10
"""A job whose run died so often has failed."""
MOST_ATTEMPTS = 30
"""So has one for which so many runs were asked, none of which lived."""
_T = jobs.c


class LostJobError(RuntimeError):
    """The job is no longer this attempt's: another one took it over, or it has ended."""


def overdue(connection: Connection, kind: Kind, now: datetime, limit: int) -> list[Job]:
    """Claimed jobs whose run has not begun before their claim ended, oldest first."""
    query = select(jobs).where(_T.kind == kind, _T.state == "queued", _T.lease_until <= now)
    return fetch(connection, query.order_by(_T.created_at, _T.id).limit(limit))


def prolong(connection: Connection, overdue: Sequence[Job], until: datetime) -> None:
    """Let the claims of these jobs go on: their runs wait for their turn."""
    for job in overdue:
        ours = [_T.id == job.id, _T.attempt == job.attempt, _T.state == "queued"]
        change_where(connection, ours, {"lease_until": until})


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
    for job in fetch(connection, query):
        ours = [_T.id == job.id, _T.attempt == job.attempt, _T.state == job.state]
        if job.state == "cancelling":
            end_where(connection, ours, "cancelled", now)
        elif job.state == "running" and job.starts >= MOST_STARTS:
            said = f"Its run died {job.starts} times; Dagster's log of the runs has the reason."
            end_where(connection, ours, "failed", now, error=said)
        elif job.attempt >= MOST_ATTEMPTS:
            said = f"{job.attempt} runs were asked for, and it is not done; Dagster's log says why."
            end_where(connection, ours, "failed", now, error=said)
        else:
            change = {"state": "queued", "attempt": job.attempt + 1, "lease_until": now + lease}
            if change_where(connection, ours, change):
                claimed.append(job.id)
    if not claimed:
        return []
    query = select(jobs).where(_T.id.in_(claimed)).order_by(_T.created_at, _T.id)
    return fetch(connection, query)


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
    if not change_where(connection, ours, change):
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
    if not change_where(connection, _running(job_id, attempt), {"lease_until": now + lease}):
        raise _lost(job_id, attempt)
    query = select(_T.state).where(_T.id == job_id)
    return bool(connection.execute(query).scalar_one() == "running")


def tell(connection: Connection, job_id: str, attempt: int, result: Mapping[str, Any]) -> None:
    """Say what is known of a job's result before it ends; later attempts find it.

    LostJobError where the job is no longer this attempt's.
    """
    if not change_where(connection, _running(job_id, attempt), {"result": dict(result)}):
        raise _lost(job_id, attempt)


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
    if not change_where(connection, _running(job_id, attempt), counts):
        raise _lost(job_id, attempt)
    now = utc_now()
    row = {"job": job_id, **values(chunk), "finished_at": now}
    connection.execute(insert(job_chunks).values(**row))
    kept = select(func.count()).select_from(job_rows).where(job_rows.c.job == job_id)
    room = SAMPLE - connection.execute(kept).scalar_one()
    if errors and room > 0:
        sample = [{"job": job_id, **values(one)} for one in errors[:room]]
        connection.execute(insert(job_rows), sample)


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
    if not end_where(connection, _running(job_id, attempt), state, now, error, result):
        raise _lost(job_id, attempt)


def refuse(connection: Connection, job: Job, now: datetime, error: str) -> None:
    """End a claimed job that cannot be begun; nothing where it is no longer this attempt's."""
    ours = [_T.id == job.id, _T.attempt == job.attempt, _T.state == "queued"]
    end_where(connection, ours, "failed", now, error)


def _running(job_id: str, attempt: int) -> list[ColumnElement[bool]]:
    return [
        _T.id == job_id,
        _T.attempt == attempt,
        _T.state.in_(("running", "cancelling")),
    ]


def _lost(job_id: str, attempt: int) -> LostJobError:
    return LostJobError(
        f"attempt {attempt} of {job_id} is over: another one took the job, or it has ended"
    )
