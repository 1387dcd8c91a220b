"""The outcomes of a bulk job as one file, for those who have its workspace open."""

from __future__ import annotations

from typing import IO

from ml.jobs.files import job_files
from ml.jobs.forms import Form
from ml.jobs.joining import join, read_parts
from ml.jobs.outcomes import Outcome, outcome_columns
from ml.lifecycle.workspace import Workspace
from warehouse.database import reading
from warehouse.repositories import jobs
from warehouse.repositories.jobs import Job


def write_results(
    workspace: Workspace, job: Job, form: Form, out: IO[bytes], outcome: Outcome | None = None
) -> int:
    """Write what every row came to, or those of one outcome; returns how many rows that is.

    A job that is still running has the outcomes of its finished chunks.
    """
    with reading(workspace.engine) as connection:
        names = [chunk.part for chunk in jobs.chunks(connection, job.id)]
    parts = read_parts(job_files(workspace), job.id, names)
    return join(parts, outcome_columns(workspace.registry[job.model]), form, out, outcome)
