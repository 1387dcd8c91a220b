"""What people asked for, turned into runs: one sensor for each kind of intent.

The API and the command write to the warehouse and never call Dagster; what waits there is claimed
here, under a lease, and a run is asked for. Where that run dies, the next tick asks for another.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Literal

import dagster as dg

from assets.bulk import BulkFile
from assets.workspace import WorkspaceResource
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.refusals import DayError, NotAvailableError, Refusal
from orchestration.job_runs import ATTEMPT, BULK, JOB, request_run
from orchestration.jobs import JobDefinition, daily_job_name, training_job_name
from warehouse.database import reading, utc_now, writing
from warehouse.faults import reach
from warehouse.repositories import job_leases, schedule_runs
from warehouse.repositories.jobs import Job

CLAIM = timedelta(minutes=10)
"""After which another run is asked for where Dagster has none for a claimed job."""
PAGE = 100
TO_COME = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
"""Not NOT_STARTED: a run that was made and never submitted waits for nobody's turn."""

# Dagster copies a sensor of several jobs with its owners, a beta parameter, though it has none.
warnings.filterwarnings("ignore", "Parameter `owners` of initializer `SensorDef", dg.BetaWarning)

ASKED = {
    "bulk": "file that somebody sent to be answered",
    "score": "scoring that a schedule or somebody asked for",
    "train": "training that a schedule or somebody asked for",
}
Asks = Callable[[Workspace, ModelSpec, Job], dg.RunRequest]


def build_intents(
    specs: Sequence[ModelSpec], jobs_by_name: Mapping[str, JobDefinition], first: date
) -> list[dg.SensorDefinition]:
    """The sensors of bulk files, of scoring and training by request, and of schedules.

    ``first`` is the first day that can be scored: one bad request would stop all of a tick.
    """
    answers = [jobs_by_name[BULK]]
    scores = [jobs_by_name[daily_job_name(spec)] for spec in specs]
    trains = [jobs_by_name[training_job_name(spec)] for spec in specs]
    return [
        _job_sensor("bulk_files", "bulk", specs, answers, _answering, first),
        _job_sensor("score_jobs", "score", specs, scores, _scoring, first),
        _job_sensor("train_jobs", "train", specs, trains, _training, first),
        _schedule_sensor(),
    ]


def _job_sensor(
    name: str,
    kind: Literal["bulk", "score", "train"],
    specs: Sequence[ModelSpec],
    dagster_jobs: Sequence[JobDefinition],
    asks: Asks,
    first: date,
) -> dg.SensorDefinition:
    """A run for each job of that kind that waits, and for each whose run has died."""
    by_name = {spec.name: spec for spec in specs}

    @dg.sensor(
        name=name,
        jobs=dagster_jobs,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts a run for each {ASKED[kind]}.",
    )
    def job_sensor(
        context: dg.SensorEvaluationContext, workspace: WorkspaceResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        opened, now = workspace.open(), utc_now()
        _prolong(opened, context.instance, kind, now)
        with writing(opened.engine) as connection:
            claimed = job_leases.claim(connection, kind, now, CLAIM)
        if claimed:
            reach("job-claimed")
        requests, refused = _requests(opened, by_name, claimed, asks, first)
        if requests:
            return requests
        return dg.SkipReason("; ".join(refused) or "No job waits.")

    return job_sensor


def _prolong(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    kind: Literal["bulk", "score", "train"],
    now: datetime,
) -> None:
    """Let claims go on whose runs wait for their turn, page by page: what is done stays done."""
    while True:
        with reading(workspace.engine) as connection:
            overdue = job_leases.overdue(connection, kind, now, PAGE)
        waiting = [job for job in overdue if _has_run(instance, job)]
        with writing(workspace.engine) as connection:
            job_leases.prolong(connection, waiting, now + CLAIM)
        # Those left, without a run, come first when jobs are claimed.
        if not waiting or len(overdue) < PAGE:
            return


def _has_run(instance: dg.DagsterInstance, job: Job) -> bool:
    """Whether a run that was asked for is still to do the job: many may wait for their turn."""
    tags = {JOB: job.id, ATTEMPT: str(job.attempt)}
    asked = dg.RunsFilter(tags=tags, statuses=TO_COME)
    return instance.get_runs_count(asked) > 0


def _requests(
    workspace: Workspace,
    specs: Mapping[str, ModelSpec],
    claimed: Sequence[Job],
    asks: Asks,
    first: date,
) -> tuple[list[dg.RunRequest], list[str]]:
    """The runs to ask for; a job that can have none fails in words, and stops no other."""
    requests, refused = [], []
    for job in claimed:
        spec = specs.get(job.model)
        try:
            if spec is None:
                raise NotAvailableError(
                    f"{job.model} was not available on this home's source when Dagster was started:"
                    " start `sevenfold serve` again if it is by now."
                )
            request = asks(workspace, spec, job)
            if request.partition_key and request.partition_key < first.isoformat():
                raise DayError(
                    f"{request.partition_key} is before {first}, the first day of Dagster's"
                    " partitions: start `sevenfold serve` again where that was changed."
                )
            requests.append(request)
        except Refusal as refusal:
            with writing(workspace.engine) as connection:
                job_leases.refuse(connection, job, utc_now(), str(refusal))
            refused.append(f"{job.id} failed: {refusal}")
    return requests, refused


def _answering(_: Workspace, _spec: ModelSpec, job: Job) -> dg.RunRequest:
    asked = BulkFile(job_id=job.id, attempt=job.attempt)
    return request_run(job, BULK, config=dg.RunConfig(ops={"answer_file": asked}))


def _scoring(workspace: Workspace, spec: ModelSpec, job: Job) -> dg.RunRequest:
    asked = job.params.get("as_of")
    day = date.fromisoformat(asked) if asked else workspace.as_of()
    workspace.require_day(day)
    return request_run(job, daily_job_name(spec), day)


def _training(_: Workspace, spec: ModelSpec, job: Job) -> dg.RunRequest:
    return request_run(job, training_job_name(spec))


def _schedule_sensor() -> dg.SensorDefinition:
    """Jobs for the times of people's schedules that came due."""

    @dg.sensor(
        name="schedules",
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes a job for each schedule of the API or the command line that is due;"
        " `score_jobs`, `train_jobs` and `bulk_files` start its run.",
    )
    def schedule_sensor(
        context: dg.SensorEvaluationContext, workspace: WorkspaceResource
    ) -> dg.SkipReason:
        with writing(workspace.open().engine) as connection:
            fired = schedule_runs.fire_due(connection, utc_now())
        reach("schedules-fired")
        said = [f"{run.schedule} due at {run.due_at:%F %R}Z {run.outcome}" for run in fired]
        return dg.SkipReason("; ".join(said) or "No schedule is due.")

    return schedule_sensor
