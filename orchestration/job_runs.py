"""Runs that do a job: which Dagster job does which, and the job's state while its run lives.

The executor of every run (``executor.py``) hands the events of a job's run through ``as_job``: the
job is started under a lease, renewed while the steps run, and ended as they ended. So scoring and
training that somebody asked for are the same runs of the same assets as those of the day.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from assets.interrupts import asked_to_end
from ml.jobs.lease import LEASE, Lease, renewed
from warehouse.database import utc_now, writing
from warehouse.repositories import job_leases, models, webhooks
from warehouse.repositories.job_leases import LostJobError
from warehouse.repositories.jobs import Job

BULK = "bulk_file"
JOB, ATTEMPT = "sevenfold/job", "sevenfold/attempt"
TOLD = ("version", "champion", "promoted", "outcome", "model_version", "data_version", "origin")
ROWS = "dagster/partition_row_count"
"""Metadata of materialized assets that a job's result keeps."""


def request_run(
    job: Job,
    dagster_job: str,
    day: date | None = None,
    run_key: str | None = None,
    config: dg.RunConfig | None = None,
) -> dg.RunRequest:
    """Ask for the run of a claimed job; a later attempt is another run."""
    return dg.RunRequest(
        run_key=run_key or f"{job.id}:{job.attempt}",
        run_config=config,
        job_name=dagster_job,
        partition_key=day.isoformat() if day else None,
        tags={
            JOB: job.id,
            ATTEMPT: str(job.attempt),
            "sevenfold/model": job.model,
            "sevenfold/why": str(job.params.get("reason") or job.asked_by)[:60],
        },
    )


def as_job(
    engine: Engine, instance: dg.DagsterInstance, run: dg.DagsterRun, events: Iterator[Any]
) -> Iterator[Any]:
    """The events of a job's run, each handed on; its job is running meanwhile, and ended after.

    LostJobError where the job is another attempt's by now: then no step begins.
    """
    job_id, attempt = run.tags[JOB], int(run.tags[ATTEMPT])
    with writing(engine) as connection:
        job = job_leases.start(connection, job_id, attempt, run.run_id, utc_now(), LEASE)
    seen, lease, went_through = _Seen(), Lease(), False

    def stop(why: str) -> None:
        # As Dagster's own launcher ends a run of this process: its steps are told, and it says so.
        try:
            now = instance.get_run_by_id(run.run_id)
            if now is not None and now.status is dg.DagsterRunStatus.STARTED:
                instance.report_run_canceling(run, why)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        with renewed(engine, job, lease, stop):
            for event in events:
                seen.note(event)
                yield event
        went_through = True
    finally:
        # However it was interrupted. Where nobody wanted it, as when everything is shut down,
        # another run does the job.
        if not went_through and (lease.cancelled.is_set() or asked_to_end(instance, run.run_id)):
            _end(engine, job, lease, seen, stopped=True)
    lease.check()
    _end(engine, job, lease, seen, stopped=False)


class _Seen:
    """What the events of a run tell about it."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.result: dict[str, Any] = {}

    def note(self, event: Any) -> None:
        if event.is_step_failure and self.error is None:
            failure = event.step_failure_data
            told = failure.user_failure_data
            self.error = told.description if told else _said(event.step_key, failure.error)
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            made = event.step_materialization_data.materialization
            self._keep(made.partition, made.metadata)

    def _keep(self, partition: str | None, metadata: Mapping[str, dg.MetadataValue]) -> None:
        found = {name: metadata[name].value for name in TOLD if name in metadata}
        if "version" in found:
            found["candidate"] = found.pop("version")
        if ROWS in metadata:
            found |= {"as_of": partition, "rows": metadata[ROWS].value}
            self.result |= found
        elif partition is None:
            self.result |= found


def _said(step: str, error: Any) -> str:
    """What its owner is told of an error that nobody foresaw: no value and no path."""
    wrong = error.cause or error  # Dagster's own stands around it
    return f"{wrong.cls_name} in its step {step}; the run's log has the rest."


def _end(engine: Engine, job: Job, lease: Lease, seen: _Seen, stopped: bool) -> None:
    state: Any = "failed" if seen.error else "completed"
    error = seen.error
    if stopped or lease.cancelled.is_set():
        state = "cancelled"
        error = None if lease.cancelled.is_set() else "Its run was stopped in Dagster."
    with suppress(LostJobError), writing(engine) as connection:
        job_leases.finish(
            connection, job.id, job.attempt, state, utc_now(), error, seen.result or None
        )
        if job.kind == "train" and state == "completed":
            made, serving = seen.result.get("candidate"), models.champion(connection, job.model)
            told = {
                "job": job.id,
                "model": job.model,
                "version": made,
                "promoted": serving is not None and serving.version == made,
            }
            webhooks.publish(connection, "retraining.completed", None, told)
