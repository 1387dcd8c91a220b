"""Bulk jobs asked for: a file of questions that is streamed in, or all that a model knows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from api.auditing import asked_by, caller_of
from api.bulk_body import MULTIPART, received
from api.dependencies import Services, services
from api.idempotency import PARAMETER, Made, answered_before, once
from api.problems import Problem, refused
from api.routes.jobs import PATH, shown
from api.routing import SecuredRoute, add, needs
from api.schemas.jobs import Job
from api.uploads import NoRoomError, pieces
from ml.jobs.forms import Form
from ml.jobs.submitting import (
    NoEntitiesError,
    NotByNameError,
    queue_all,
    queue_file,
    require_by_name,
)
from ml.models import ModelSpec
from warehouse.database import reading
from warehouse.faults import reach
from warehouse.repositories import job_quotas
from warehouse.repositories import jobs as repository
from warehouse.repositories.job_quotas import Quota, TooManyBytesError, TooManyJobsError

BINARY = {"type": "string", "format": "binary"}


def add_routes(app: FastAPI, spec: ModelSpec) -> None:
    """``POST /api/{model}/bulk``."""

    async def bulk(
        request: Request,
        form: Annotated[
            Form | None,
            Query(
                alias="format",
                description="What the file is; else its Content-Type says it, or its name.",
            ),
        ] = None,
        reasons: Annotated[
            bool, Query(description="Also say why, which takes many times as long.")
        ] = False,
        everything: Annotated[
            bool, Query(alias="all", description="Ask about all that the model knows, not a file.")
        ] = False,
    ) -> Response:
        having, owner = services(request), caller_of(request).owner
        if everything:
            return await _all(having, request, spec, form, reasons, owner)
        return await _file(having, request, spec, form, reasons, owner)

    add(
        app,
        SecuredRoute,
        f"/api/{spec.route}/bulk",
        methods=["POST"],
        status_code=202,
        tags=[spec.title],
        summary="A job that answers every row of a file",
        description=(
            "The body is the file (CSV, NDJSON or Parquet; the first two also as gzip) or a form"
            " with one file. Columns are the fields of a query. With `?all=true` and no body, the"
            " job asks about every entity with stored features."
        ),
        response_model=Job,
        responses={202: {"headers": {"Location": {"schema": {"type": "string"}}}}},
        name=f"bulk_{spec.name}",
        openapi_extra=needs("write") | {"parameters": [PARAMETER], "requestBody": _body(spec)},
    )(bulk)


async def _file(
    having: Services,
    request: Request,
    spec: ModelSpec,
    form: Form | None,
    reasons: bool,
    owner: str,
) -> Response:
    """Take the file in, store it, and queue a job over it: files first, row last."""
    quota = _quota(having)
    room = await run_in_threadpool(_room, having, request, owner, quota)
    async with having.uploads.receiving(owner, room) as upload:
        with _refusals():
            sent = await received(request, upload, form)
        job_id, incoming = repository.new_id(), upload.incoming
        made = False

        def make(connection: Connection) -> Made:
            nonlocal made
            with _refusals():
                job_quotas.admit(connection, owner, quota, incoming.size)
            job = queue_file(
                connection,
                spec,
                job_id,
                incoming,
                sent.name,
                sent.form,
                sent.gzipped,
                reasons,
                owner,
                asked_by(request),
            )
            made = True
            reach("upload-queued")
            return _made(having, job)

        await upload.keep(job_id)
        reach("upload-kept")
        try:
            answer: Response = await having.write(
                lambda: once(request, _alike(incoming.digest, sent.form, reasons), make)
            )
        except Problem:
            await having.uploads.remove(job_id)
            raise
        # Another error may have come after the job was made: its file is left, and where there is
        # no job the next purge removes it.
        if not made:
            await having.uploads.remove(job_id)
        return answer


async def _all(
    having: Services,
    request: Request,
    spec: ModelSpec,
    form: Form | None,
    reasons: bool,
    owner: str,
) -> Response:
    """Queue a job over all that the model knows."""
    if form is not None:
        raise refused("format", "format is that of a file, and all=true asks without one")
    with _refusals():
        require_by_name(spec)
    async for _ in pieces(request.receive):
        raise refused("all", "all=true asks about all that the model knows: send no body with it")

    def make(connection: Connection) -> Made:
        with _refusals():
            job_quotas.admit(connection, owner, _quota(having))
            job = queue_all(connection, spec, reasons, owner, asked_by(request))
        return _made(having, job)

    answer: Response = await having.write(lambda: once(request, _alike("all", None, reasons), make))
    return answer


def _room(having: Services, request: Request, owner: str, quota: Quota) -> int:
    """The bytes that an owner may still keep; Problem where it may have no further job.

    A call that was answered before gets its answer again, whatever its owner holds by now.
    """
    with reading(having.workspace.engine) as connection:
        held = job_quotas.held(connection, owner)
    if answered_before(request):
        return quota.bytes
    with _refusals():
        job_quotas.check(held, quota, _announced(request))
    return quota.bytes - held[1]


def _announced(request: Request) -> int:
    text = request.headers.get("content-length", "0")
    return int(text) if text.isdecimal() else 0


@contextmanager
def _refusals() -> Iterator[None]:
    """What a job is refused for, as a problem."""
    try:
        yield
    except TooManyJobsError as error:
        raise Problem(429, "job_quota", f"{error}.", headers={"Retry-After": "30"}) from None
    except (TooManyBytesError, NoRoomError) as error:
        raise Problem(409, "file_quota", f"{error}.") from None
    except NotByNameError as error:
        raise refused("all", str(error).rstrip(".")) from None
    except NoEntitiesError as error:
        raise Problem(409, "not_scored", str(error)) from None


def _quota(having: Services) -> Quota:
    return Quota(having.settings.api_owner_jobs, having.settings.api_owner_bytes)


def _alike(what: str, form: Form | None, reasons: bool) -> bytes:
    """What a repeated call must have alike; a form's boundary differs each time, its file not."""
    return json.dumps([what, form, reasons]).encode()


def _made(having: Services, job: repository.Job) -> Made:
    return Made(shown(having, job), 202, headers={"Location": f"{PATH}/{job.id}"})


def _body(spec: ModelSpec) -> dict[str, Any]:
    """The documented request bodies, with the model's own examples as rows."""
    queries = spec.Query.model_json_schema().get("examples", [])
    text: dict[str, Any] = {"schema": {"type": "string"}}
    lines = "".join(f"{json.dumps(query)}\n" for query in queries)
    return {
        "description": "A file of queries, a row each; docs/bulk-files.md says more.",
        "required": False,
        "content": {
            "text/csv": {**text, "example": _csv(queries)},
            "application/x-ndjson": {**text, "example": lines},
            "application/vnd.apache.parquet": {"schema": BINARY},
            "application/octet-stream": {"schema": BINARY},
            MULTIPART: {
                "schema": {"type": "object", "required": ["file"], "properties": {"file": BINARY}}
            },
        },
    }


def _csv(queries: list[dict[str, Any]]) -> str:
    """Queries as a CSV: a column for each path into them, lists as JSON."""
    rows = [dict(_cells(query, "")) for query in queries]
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _cells(value: Mapping[str, Any], inside: str) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _cells(inner, f"{inside}{name}.")
        else:
            yield f"{inside}{name}", json.dumps(inner) if isinstance(inner, list) else inner
