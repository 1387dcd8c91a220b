"""A bulk job from a file: its form found out, the file stored, the job queued."""

from __future__ import annotations

import shutil
from pathlib import Path

from ml.jobs.bulk import job_files
from ml.jobs.reading import FORMS, Form
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.refusals import FileError
from warehouse.database import writing
from warehouse.job_files import INPUT
from warehouse.repositories import jobs
from warehouse.repositories.jobs import Job

ENDINGS: dict[str, Form] = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}
GZIP_MAGIC, PARQUET_MAGIC = b"\x1f\x8b", b"PAR1"


def form_of(name: str) -> tuple[Form, bool]:
    """The form that a file's name says, and whether it is gzip; FileError where it says none."""
    ending = name.lower()
    gzipped = ending.endswith(".gz")
    form = ENDINGS.get(Path(ending.removesuffix(".gz")).suffix)
    if form is None:
        raise FileError(
            f"{Path(name).name!r} ends like no file of rows: name one of"
            f" {', '.join(sorted(ENDINGS))}, also with .gz, or say which it is of"
            f" {', '.join(FORMS)}"
        )
    return form, gzipped


def submit(
    workspace: Workspace,
    spec: ModelSpec,
    path: Path,
    form: Form,
    gzipped: bool,
    reasons: bool,
    owner: str,
    asked_by: str,
) -> Job:
    """Store a copy of the file and queue a job over it; FileError where it is plainly another."""
    with path.open("rb") as file:
        begins = file.read(4)
    if gzipped != begins.startswith(GZIP_MAGIC):
        raise FileError("the file is gzip" if not gzipped else "the file is not gzip")
    if not gzipped and (form == "parquet") != (begins == PARQUET_MAGIC):
        raise FileError(f"the file is not {form.upper()}")
    files, job_id = job_files(workspace), jobs.new_id()
    with files.draft() as draft:
        shutil.copyfile(path, draft)
        size = draft.stat().st_size
        files.keep(draft, job_id, INPUT)
    params = {"form": form, "gzip": gzipped, "reasons": reasons, "name": path.name}
    with writing(workspace.engine) as connection:
        return jobs.create(
            connection, "bulk", spec.name, owner, asked_by, params, job_id=job_id, size=size
        )
