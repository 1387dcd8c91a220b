"""What of jobs may go: files of those that ended days ago, what belongs to no job, old jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ml.jobs.files import job_files
from ml.lifecycle.workspace import Workspace
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import job_expiry

LEFT_ALONE = timedelta(days=1)
"""No upload takes that long; what is older and has no job was left by a process that died."""


@dataclass(frozen=True)
class Expired:
    """How many jobs expired, and how many files or folders without a job were removed."""

    jobs: int
    leftovers: int


def expire_files(workspace: Workspace) -> Expired:
    """Remove the files of bulk jobs that ended more than ``job_days`` ago, and what has no job.

    A job is marked as expired before its files go, so that nobody is promised what is half gone;
    where that is interrupted, its files have no job the next day.
    """
    files, now = job_files(workspace), utc_now()
    ended = now - timedelta(days=workspace.settings.job_days)
    count = 0
    while True:
        with writing(workspace.engine) as connection:
            some = job_expiry.ended_before(connection, ended)
            job_expiry.expire(connection, some)
        if not some:
            break
        for job in some:
            files.remove(job)
        count += len(some)
    old = [job for job, written in files.jobs().items() if written < now - LEFT_ALONE]
    with reading(workspace.engine) as connection:
        kept = job_expiry.with_files(connection, old)
    orphans = [job for job in old if job not in kept]
    for job in orphans:
        files.remove(job)
    return Expired(count, len(orphans) + files.remove_drafts(now - LEFT_ALONE))


def forget_jobs(workspace: Workspace) -> int:
    """Remove jobs that ended longer ago than the retention, and firings of schedules as old."""
    before = utc_now() - timedelta(days=workspace.settings.retention_days)
    with writing(workspace.engine) as connection:
        return job_expiry.forget_before(connection, before)
