"""Background jobs: the caller's own listed, shown and cancelled, their results; and everybody's."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api import cursors
from api.auditing import caller_of, note
from api.dependencies import Services, services
from api.downloads import ResultsResponse
from api.problems import Problem, refused
from api.routing import SecuredRoute, add, needs
from api.schemas.jobs import Job, JobDetail, Jobs, RowFault
from api.schemas.keys import Name
from ml.jobs.files import files_of
from ml.jobs.forms import Form
from ml.jobs.join_request import Join
from ml.jobs.outcomes import Outcome, outcome_columns
from ml.models import UnknownModelError
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import jobs as repository
from warehouse.repositories.jobs import ACTIVE, Kind, State

PATH = "/api/jobs"
TYPES: dict[Form, str] = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
Limit = Annotated[int, Query(ge=1, le=1000, description="Jobs a page.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before.")]
OfState = Annotated[State | None, Query(description="Only jobs in this state.")]
OfModel = Annotated[str | None, Query(description="Only jobs of this model.")]


def add_routes(app: FastAPI) -> None:
    """``/api/jobs``, what is below it, and ``/api/admin/jobs``."""
    options: dict[str, Any] = {"tags": ["Jobs"], "openapi_extra": needs("read")}
    of_job = f"{PATH}/{{job_id}}"
    add(app, SecuredRoute, PATH, methods=["GET"], summary="Your jobs, newest first", **options)(
        list_jobs
    )
    add(
        app,
        SecuredRoute,
        of_job,
        methods=["GET"],
        summary="One of your jobs: its state, counts and first errors",
        **options,
    )(show_job)
    add(
        app,
        SecuredRoute,
        of_job,
        methods=["DELETE"],
        summary="Cancel a job",
        description="At once where it waits, even while Dagster is stopped; after its present chunk"
        " where it runs (`cancelling`). What was answered stays. A job that has ended stays as it"
        " is.",
        **(options | {"openapi_extra": needs("write")}),
    )(cancel_job)
    add(
        app,
        SecuredRoute,
        f"{of_job}/results",
        methods=["GET"],
        summary="What every row of a job's file came to",
        description="A row for each decision and each error, by the line of the file. While the job"
        " is under way the answer is 409, unless `partial=true` asks for what is finished so far;"
        " of a job that was cancelled or failed it is what was finished. An answer that breaks off"
        " ends without its last chunk: the client sees an incomplete body.",
        response_class=Response,
        responses={
            200: {"content": {kind: {"schema": {"type": "string"}} for kind in TYPES.values()}}
        },
        **options,
    )(results)
    add(
        app,
        SecuredRoute,
        "/api/admin/jobs",
        methods=["GET"],
        summary="Everybody's jobs of every kind, newest first",
        **(options | {"openapi_extra": needs("admin")}),
    )(list_all)


def list_jobs(
    request: Request,
    limit: Limit = 100,
    cursor: Cursor = None,
    state: OfState = None,
    model: OfModel = None,
) -> Jobs:
    return _page(request, limit, cursor, caller_of(request).owner, state, None, model)


def list_all(
    request: Request,
    limit: Limit = 100,
    cursor: Cursor = None,
    kind: Annotated[Kind | None, Query(description="Only jobs of this kind.")] = None,
    state: OfState = None,
    model: OfModel = None,
    owner: Annotated[Name | None, Query(description="Only this owner's.")] = None,
) -> Jobs:
    return _page(request, limit, cursor, owner, state, kind, model)


def show_job(request: Request, job_id: str) -> JobDetail:
    having = services(request)
    job = _own(request, job_id)
    with reading(having.workspace.engine) as connection:
        wrong = repository.errors(connection, job_id)
    faults = [RowFault(line=one.line, code=one.code, detail=one.detail) for one in wrong]
    return JobDetail(**shown(having, job).model_dump(), errors=faults)


async def cancel_job(request: Request, job_id: str) -> Job:
    having = services(request)

    def work() -> repository.Job:
        with writing(having.workspace.engine) as connection:
            before = repository.get(connection, job_id, caller_of(request).owner)
            if before is None:
                raise _unknown(job_id)
            state = repository.cancel(connection, job_id, utc_now())
            if state != before.state:
                note(connection, request, "job.cancel", job_id, {})
            after = repository.get(connection, job_id)
        assert after is not None
        return after

    return shown(having, await having.write(work))


async def results(
    request: Request,
    job_id: str,
    form: Annotated[Form, Query(alias="format", description="The form of the results.")] = "csv",
    outcome: Annotated[Outcome | None, Query(description="Only these rows.")] = None,
    partial: Annotated[
        bool, Query(description="Also while the job is under way: what is finished so far.")
    ] = False,
) -> Response:
    asked = await run_in_threadpool(_asked, request, job_id, form, outcome, partial)
    owner = caller_of(request).owner
    download = await services(request).downloads.begin(owner, asked)
    ending = "jsonl" if form == "ndjson" else form
    headers = {
        "Content-Disposition": f'attachment; filename="{asked.job}.{ending}"',
        "Cache-Control": "private, no-store",
    }
    return ResultsResponse(download, TYPES[form], headers)


def shown(having: Services, job: repository.Job, own: bool = True) -> Job:
    """A job as the API shows it; one that is not the caller's own has nothing to follow."""
    params = job.params
    kept = dt.timedelta(days=having.workspace.settings.job_days)
    bulk = job.kind == "bulk"
    links = {"self": f"{PATH}/{job.id}"} if own else {}
    if own and bulk and job.state != "expired":
        links["results"] = f"{PATH}/{job.id}/results"
    return Job(
        id=job.id,
        kind=job.kind,
        model=job.model,
        owner=job.owner,
        asked_by=job.asked_by,
        state=job.state,
        file=params.get("name"),
        form=params.get("form"),
        reasons=params.get("reasons"),
        rows_ok=job.rows_ok,
        rows_error=job.rows_error,
        progress=_progress(job),
        bytes=job.bytes,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        expires_at=job.finished_at + kept if bulk and job.finished_at else None,
        run_id=job.run_id,
        error=job.error,
        result=None if job.result is None else dict(job.result),
        links=links,
    )


def _progress(job: repository.Job) -> float | None:
    if job.state == "completed":
        return 1.0
    lines = job.params.get("lines")
    return min((job.rows_ok + job.rows_error) / lines, 1.0) if lines else None


def _page(
    request: Request,
    limit: int,
    cursor: str | None,
    owner: str | None,
    state: State | None,
    kind: Kind | None,
    model: str | None,
) -> Jobs:
    having = services(request)
    with reading(having.workspace.engine) as connection:
        found = repository.page(
            connection,
            limit + 1,
            cursors.after(cursor),
            owner,
            states=[state] if state else (),
            kinds=[kind] if kind else (),
            models=[_named(having, model)] if model else (),
        )
    items, following = cursors.cut(found, limit)
    asking = caller_of(request).owner
    shows = [shown(having, job, own=job.owner == asking) for job in items]
    return Jobs(items=shows, next_cursor=following)


def _named(having: Services, model: str) -> str:
    try:
        return having.workspace.registry[model].name
    except UnknownModelError as error:
        raise refused("model", str(error)) from None


def _asked(
    request: Request, job_id: str, form: Form, outcome: Outcome | None, partial: bool
) -> Join:
    """What the process that writes the results is asked; Problem where there are none."""
    job = _own(request, job_id)
    if job.kind != "bulk":
        said = f"Job {job_id} is of kind {job.kind}: only those over rows have results."
        raise Problem(409, "no_results", said)
    if job.state == "expired":
        said = f"The files of job {job_id} were removed after their time: send the file again."
        raise Problem(410, "job_expired", said)
    if job.state in ACTIVE and not partial:
        raise Problem(
            409,
            "job_under_way",
            f"Job {job_id} is {job.state}: come back when it has ended, or ask with partial=true"
            " for what is finished so far.",
            headers={"Retry-After": "5"},
        )
    workspace = services(request).workspace
    with reading(workspace.engine) as connection:
        parts = [chunk.part for chunk in repository.chunks(connection, job.id)]
    root, work = files_of(workspace)
    columns = outcome_columns(workspace.registry[job.model])
    return Join(root, str(work), job.id, parts, dict(columns), form, outcome)


def _own(request: Request, job_id: str) -> repository.Job:
    """A job of the caller; Problem 404 where there is none, or where it is another owner's."""
    with reading(services(request).workspace.engine) as connection:
        job = repository.get(connection, job_id, caller_of(request).owner)
    if job is None:
        raise _unknown(job_id)
    return job


def _unknown(job_id: str) -> Problem:
    return Problem(404, "unknown_job", f"You have no job {job_id!r}.")
