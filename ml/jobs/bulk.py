"""A bulk job's work: its file answered chunk by chunk, each kept before the next begins."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from typing import Literal

import pyarrow.parquet as pq
from sqlalchemy.exc import SQLAlchemyError

from ml.estimators.threads import num_threads
from ml.jobs.ahead import ahead
from ml.jobs.answering import Answering, Outcomes
from ml.jobs.files import job_files
from ml.jobs.join_request import ALIKE
from ml.jobs.known import FORM, store_known
from ml.jobs.lease import LEASE, Lease, renewed
from ml.jobs.reading import read_rows
from ml.lifecycle.workspace import Workspace
from ml.refusals import FileError, Refusal
from warehouse.database import reading, utc_now, writing
from warehouse.faults import reach
from warehouse.job_files import INPUT, JobFiles, MissingFileError
from warehouse.objects import StoreError
from warehouse.repositories import job_leases, jobs
from warehouse.repositories.job_leases import LostJobError
from warehouse.repositories.jobs import Chunk, Job

LOG = logging.getLogger(__name__)


def run_bulk(
    workspace: Workspace,
    job_id: str,
    attempt: int,
    run_id: str,
    progress: Callable[[Job], None] = lambda _: None,
) -> Job:
    """Do the work of a claimed job, from its last finished chunk on, and end it.

    Returns the job as it ended: completed, cancelled, or failed with the reason in words. Raises
    LostJobError where the attempt is over; where warehouse, store or disk are away, their error,
    and the next attempt goes on; anything unforeseen after the job was marked as failed.
    """
    engine = workspace.engine
    with writing(engine) as connection:
        job = job_leases.start(connection, job_id, attempt, run_id, utc_now(), LEASE)
    state: Literal["completed", "failed", "cancelled"] = "completed"
    error: str | None = None
    lease = Lease()
    with renewed(engine, job, lease):
        try:
            _work(workspace, job, lease, progress)
            lease.check()
            if lease.cancelled.is_set():
                state = "cancelled"
        except (FileError, Refusal) as refused:
            state, error = "failed", str(refused)
        except MissingFileError:
            LOG.exception("job %s", job_id)
            state, error = "failed", "Its file is in the store no more: send it again."
        except (LostJobError, SQLAlchemyError, StoreError, OSError):
            raise
        except Exception as wrong:  # doing it again would fail again
            said = f"{type(wrong).__name__} while it was answered; the run's log has the rest."
            with writing(engine) as connection:
                job_leases.finish(connection, job_id, attempt, "failed", utc_now(), said)
            raise
    with writing(engine) as connection:
        job_leases.finish(connection, job_id, attempt, state, utc_now(), error)
        ended = jobs.get(connection, job_id)
    assert ended is not None
    return ended


def _work(workspace: Workspace, job: Job, lease: Lease, progress: Callable[[Job], None]) -> None:
    spec = workspace.registry[job.model]
    answering = _answering(workspace, job)
    files = job_files(workspace)
    with reading(workspace.engine) as connection:
        done = {chunk.number for chunk in jobs.chunks(connection, job.id)}
    if job.params.get("all") and not done:
        store_known(workspace.engine, spec, files, job.id)
    with files.local(job.id, INPUT) as path:
        chunks = read_rows(path, job.params.get("form", FORM), bool(job.params.get("gzip", False)))
        left = ((number, rows) for number, rows in enumerate(chunks) if number not in done)
        # What answers row by row may fit something, and need not bear to be asked twice at a time.
        threads = num_threads() if answering.by_column else 0
        with closing(ahead(left, lambda one: (one[0], answering.answer(one[1])), threads)) as found:
            for number, outcomes in found:
                lease.check()
                if lease.cancelled.is_set():
                    break
                now = _kept(workspace, files, job, number, outcomes)
                if now.state == "cancelling":
                    lease.cancelled.set()
                progress(now)


def _answering(workspace: Workspace, job: Job) -> Answering:
    """By the version that began the job, so that all rows of a file are answered by one."""
    spec, reasons = workspace.registry[job.model], bool(job.params.get("reasons", False))
    begun = (job.result or {}).get("model_version")
    found = Answering(workspace, spec, reasons, begun)
    if begun is None:
        with writing(workspace.engine) as connection:
            job_leases.tell(connection, job.id, job.attempt, {"model_version": found.version})
    return found


def _kept(workspace: Workspace, files: JobFiles, job: Job, number: int, outcomes: Outcomes) -> Job:
    """The part first, then its row: a part without one is written again by the next attempt."""
    # Another attempt's part is never overwritten: this one may be over, and not know it yet.
    name = f"{number:06d}-{job.attempt}.parquet"
    with files.draft() as draft:
        # Dictionaries of other columns take longer, and leave zstd with more.
        pq.write_table(outcomes.table, draft, compression="zstd", use_dictionary=list(ALIKE))
        files.keep(draft, job.id, name)
    reach("job-part")
    chunk = Chunk(number, outcomes.rows_ok, len(outcomes.errors), name)
    with writing(workspace.engine) as connection:
        job_leases.add_chunk(connection, job.id, job.attempt, chunk, outcomes.errors)
        now = jobs.get(connection, job.id)
    assert now is not None
    return now
