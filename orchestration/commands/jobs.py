"""Commands about bulk jobs: a file of questions, and what every row of it came to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ml.refusals import FileError
from orchestration.commands.keys import actor
from orchestration.commands.output import AsJson, note, print_json, show
from orchestration.commands.pipeline import Home, use_existing_home
from warehouse.objects import StoreError

if TYPE_CHECKING:
    from ml.lifecycle.workspace import Workspace
    from warehouse.repositories.jobs import Job


class UnknownJobError(LookupError):
    """There is no job of that id."""


MENDABLE = (UnknownJobError, FileError, StoreError)

jobs = typer.Typer(help="Background jobs: files of questions, and what every row came to.")

JobId = Annotated[str, typer.Argument(help="The job's id, as `sevenfold jobs list` shows it.")]
Format = Literal["csv", "ndjson", "parquet"]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    jobs.command("submit")(submit)
    jobs.command("list")(list_jobs)
    jobs.command("show")(show_job)
    jobs.command("results")(results)
    jobs.command("cancel")(cancel)
    app.add_typer(jobs, name="jobs")


def submit(
    model: Annotated[str, typer.Argument(help="The model that is asked.")],
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="CSV, NDJSON or Parquet.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Ask about all that the model knows, without a file.")
    ] = False,
    form: Annotated[
        Format | None, typer.Option("--format", help="What it is, where its name does not say so.")
    ] = None,
    gzipped: Annotated[bool, typer.Option("--gzip", help="It is gzip, with --format.")] = False,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="Also say why, which takes many times as long.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model about every row of a file, or all it knows; a run answers while `serve` runs.

    Columns are the fields of a query: `client_id`, `features.revenue_365d`, …
    """
    use_existing_home(home)
    from ml.jobs import submitting
    from ml.jobs.forms import form_of
    from ml.lifecycle.workspace import Workspace

    workspace = Workspace.current()
    spec = workspace.registry[model]
    if everything != (file is None):
        raise typer.BadParameter("give a file, or --all for all that the model knows")
    if file is None:
        job = submitting.submit_all(workspace, spec, reasons, actor(), actor())
    else:
        kind = form_of(file.name) if form is None else (form, gzipped)
        job = submitting.submit(workspace, spec, file, *kind, reasons, actor(), actor())
    if as_json:
        print_json(job_row(job))
        return
    typer.echo(job.id)
    note(f"Queued. `sevenfold jobs show {job.id}` says how far it is.")


def list_jobs(
    top: Annotated[int, typer.Option("--top", min=1, help="At most so many.")] = 20,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Jobs, newest first."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading
    from warehouse.repositories import jobs as repository

    with reading(Workspace.current().engine) as connection:
        found = repository.page(connection, top)
    show(
        [job_row(job) for job in found],
        as_json,
        title="Jobs",
        columns=["id", "kind", "model", "state", "rows_ok", "rows_error", "created_at"],
        empty="No job yet: `sevenfold jobs submit churn clients.csv` makes one.",
    )


def show_job(job_id: JobId, home: Home = None, as_json: AsJson = False) -> None:
    """A job's state and counts, and the first of its rows with an error."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import reading
    from warehouse.repositories import jobs as repository

    workspace = Workspace.current()
    job = found_job(workspace, job_id)
    with reading(workspace.engine) as connection:
        wrong = repository.errors(connection, job_id)
    errors = [{"line": one.line, "code": one.code, "detail": one.detail} for one in wrong]
    if as_json:
        print_json({**job_row(job), "errors": errors})
        return
    show([{"": name, "job": value} for name, value in job_row(job).items()], False)
    show(errors, False, title="Rows with an error, the first of them", empty="")


def results(
    job_id: JobId,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; default: standard output.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="csv, ndjson or parquet.")] = "csv",
    outcome: Annotated[
        Literal["ok", "error"] | None, typer.Option("--outcome", help="Only these rows.")
    ] = None,
    home: Home = None,
) -> None:
    """What every row of a job's file came to, by its line."""
    use_existing_home(home)
    from ml.jobs.results import write_results
    from ml.lifecycle.workspace import Workspace

    workspace = Workspace.current()
    job = found_job(workspace, job_id)
    if out is None:
        write_results(workspace, job, form, sys.stdout.buffer, outcome)
        return
    with out.open("wb") as file:
        count = write_results(workspace, job, form, file, outcome)
    note(f"{count:,} rows are in {out}.")


def cancel(job_id: JobId, home: Home = None, as_json: AsJson = False) -> None:
    """End a job: at once where it waits, after its present chunk where it runs."""
    use_existing_home(home)
    from ml.lifecycle.workspace import Workspace
    from warehouse.database import utc_now, writing
    from warehouse.repositories import audit
    from warehouse.repositories import jobs as repository

    workspace = Workspace.current()
    before = found_job(workspace, job_id)
    with writing(workspace.engine) as connection:
        state = repository.cancel(connection, job_id, utc_now())
        if state != before.state:
            audit.append(connection, actor(), "job.cancel", job_id, {})
    if as_json:
        print_json({"id": job_id, "state": state})
    else:
        note(f"Job {job_id} is {state}.")


def found_job(workspace: Workspace, job_id: str) -> Job:
    """The job of that id; UnknownJobError where there is none."""
    from warehouse.database import reading
    from warehouse.repositories import jobs as repository

    with reading(workspace.engine) as connection:
        job = repository.get(connection, job_id)
    if job is None:
        raise UnknownJobError(f"there is no job {job_id!r}: `sevenfold jobs list` shows them")
    return job


def job_row(job: Job) -> dict[str, Any]:
    """A job as commands show it."""
    return {
        "id": job.id,
        "kind": job.kind,
        "model": job.model,
        "owner": job.owner,
        "state": job.state,
        "rows_ok": job.rows_ok,
        "rows_error": job.rows_error,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "run_id": job.run_id,
        "error": job.error,
        "result": job.result,
    }
