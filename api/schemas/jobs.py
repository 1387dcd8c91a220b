"""Background jobs as the API shows them."""

from __future__ import annotations

import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ml.jobs.forms import Form
from warehouse.repositories.jobs import SAMPLE, Kind, State

EXAMPLE: dict[str, Any] = {
    "id": "job_5f0c2a9e1b7d4c3a8e6f1d20",
    "kind": "bulk",
    "model": "churn",
    "owner": "me",
    "asked_by": "key:3kq9x0c2m7ab",
    "state": "running",
    "file": "clients.csv",
    "form": "csv",
    "reasons": False,
    "rows_ok": 29_700,
    "rows_error": 300,
    "progress": 0.6,
    "bytes": 1_250_000,
    "created_at": "2026-07-01T08:00:00Z",
    "started_at": "2026-07-01T08:00:06Z",
    "finished_at": None,
    "expires_at": None,
    "run_id": "2f6d9b1c-0b7e-4a53-9a55-5f3f0f1f6a11",
    "error": None,
    "result": None,
    "links": {
        "self": "/api/jobs/job_5f0c2a9e1b7d4c3a8e6f1d20",
        "results": "/api/jobs/job_5f0c2a9e1b7d4c3a8e6f1d20/results",
    },
}
FAULT: dict[str, Any] = {
    "line": 17,
    "code": "query_not_answerable",
    "detail": "client_id: client 'C9' has no stored features on 2026-06-30",
}


class Job(BaseModel):
    """A background job, and how far it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    kind: Kind
    model: str
    owner: str
    asked_by: str = Field(description="Which key, or who at the command line.")
    state: State
    file: str | None = Field(description="The name of the file; null where the job has none.")
    form: Form | None
    reasons: bool | None = Field(description="Whether rows say why; null where it is no question.")
    rows_ok: int = Field(description="Rows that were answered, of the finished chunks.")
    rows_error: int = Field(description="Rows that have no answer but a reason.")
    progress: float | None = Field(
        ge=0,
        le=1,
        description="Share of the file's lines that is finished; null where they were not counted,"
        " as in a compressed file.",
    )
    bytes: int | None = Field(description="Size of the file as it came.")
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    expires_at: datetime.datetime | None = Field(
        description="From when on its files may be gone; known once it has ended."
    )
    run_id: str | None = Field(description="The Dagster run that does it, or did.")
    error: str | None = Field(description="Why it failed.")
    result: dict[str, Any] | None = Field(description="What came of it, such as `model_version`.")
    links: dict[str, str]


class RowFault(BaseModel):
    """Why a line of a file has no decision."""

    line: int
    code: str
    detail: str


class JobDetail(Job):
    """A job with a sample of its rows that have an error."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**EXAMPLE, "errors": [FAULT]}]})

    errors: list[RowFault] = Field(
        description=f"The first {SAMPLE} of them by line; `results` has all."
    )


class Jobs(BaseModel):
    """Jobs, newest first."""

    items: list[Job]
    next_cursor: str | None
