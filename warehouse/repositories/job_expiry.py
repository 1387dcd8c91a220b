"""Background jobs that ended long ago: what of them may go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, delete, or_, select, update

from warehouse.control_tables import job_chunks, job_rows, jobs, schedule_runs
from warehouse.repositories.jobs import FINAL
from warehouse.repositories.rows import MOST_PARAMETERS

_T = jobs.c


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
    """Mark ended jobs whose files are about to go, and forget their chunks."""
    over = [_T.id.in_(job_ids), _T.state.in_(FINAL)]
    connection.execute(update(jobs).where(*over).values(state="expired"))
    gone = select(_T.id).where(_T.id.in_(job_ids), _T.state == "expired")
    connection.execute(delete(job_chunks).where(job_chunks.c.job.in_(gone)))


def forget_before(connection: Connection, instant: datetime) -> int:
    """Remove jobs that ended before that instant and have no files; returns how many.

    The firings of schedules from before it go with them. Trainings stay: they are few, and what
    starts the next one asks for them.
    """
    ended = select(_T.id).where(_T.state.in_(FINAL))
    fired = schedule_runs.c
    over = or_(fired.job.is_(None), fired.job.in_(ended))
    connection.execute(delete(schedule_runs).where(fired.fired_at < instant, over))
    named = select(schedule_runs.c.job).where(schedule_runs.c.job.is_not(None))
    old = select(_T.id).where(
        _T.finished_at < instant,
        or_(_T.kind == "score", and_(_T.kind == "bulk", _T.state == "expired")),
        _T.id.not_in(named),
    )
    for parts in (job_rows, job_chunks):
        connection.execute(delete(parts).where(parts.c.job.in_(old)))
    return connection.execute(delete(jobs).where(_T.id.in_(old))).rowcount
