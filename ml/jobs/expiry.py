"""Files of jobs that may go: those of jobs that ended long ago, and what belongs to no job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ml.jobs.files import job_files
from ml.lifecycle.workspace import Workspace
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import jobs

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
            some = jobs.ended_before(connection, ended)
            jobs.expire(connection, some)
        if not some:
            break
        for job in some:
            files.remove(job)
        count += len(some)
    old = [job for job, written in files.jobs().items() if written < now - LEFT_ALONE]
    with reading(workspace.engine) as connection:
        kept = jobs.with_files(connection, old)
    orphans = [job for job in old if job not in kept]
    for job in orphans:
        files.remove(job)
    return Expired(count, len(orphans) + files.remove_drafts(now - LEFT_ALONE))
