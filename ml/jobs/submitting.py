"""A bulk job made: over a file that was stored first, or over all entities that a model knows."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from ml.jobs.files import Incoming, job_files
from ml.jobs.forms import Form, check_begins
from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from ml.refusals import Refusal
from warehouse.database import writing
from warehouse.job_files import INPUT
from warehouse.repositories import jobs, online
from warehouse.repositories.jobs import Job

BLOCK_BYTES = 1024 * 1024
LONGEST_NAME = 200


class NoEntitiesError(Refusal):
    """A job over all known entities of a model that has none."""


class NotByNameError(Refusal):
    """A job over all known entities of a model that cannot be asked by a name alone."""


def queue_file(
    connection: Connection,
    spec: ModelSpec,
    job_id: str,
    file: Incoming,
    name: str,
    form: Form,
    gzipped: bool,
    reasons: bool,
    owner: str,
    asked_by: str,
) -> Job:
    """Queue the job of that id over a file that is stored as its input."""
    params = {
        "form": form,
        "gzip": gzipped,
        "reasons": reasons,
        "name": _printable(name) or None,
        "lines": file.lines,
    }
    return jobs.create(
        connection, "bulk", spec.name, owner, asked_by, params, job_id=job_id, size=file.size
    )


def queue_all(
    connection: Connection, spec: ModelSpec, reasons: bool, owner: str, asked_by: str
) -> Job:
    """Queue a job over every entity with stored features; its run lists them.

    NotByNameError where a name alone is no question of the model, NoEntitiesError where it knows
    none.
    """
    require_by_name(spec)
    count = online.count(connection, spec.name)
    if not count:
        raise NoEntitiesError(f"{spec.title} was not scored yet, so it knows nothing to ask about.")
    params = {"all": True, "reasons": reasons, "lines": count}
    return jobs.create(connection, "bulk", spec.name, owner, asked_by, params)


def require_by_name(spec: ModelSpec) -> None:
    """NotByNameError where a name alone is no question of the model."""
    if not spec.serving_class().asked_by:
        raise NotByNameError(
            f"There is no job over all that {spec.title} knows: a name alone is no question of it."
            " Send a file of questions."
        )


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
    files, job_id = job_files(workspace), jobs.new_id()
    with files.draft() as draft:
        incoming = Incoming(draft)
        try:
            with path.open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    incoming.write(block)
        finally:
            incoming.close()
        packed = check_begins(incoming.begins, form, gzipped)
        files.keep(draft, job_id, INPUT)
    with writing(workspace.engine) as connection:
        return queue_file(
            connection, spec, job_id, incoming, path.name, form, packed, reasons, owner, asked_by
        )


def submit_all(
    workspace: Workspace, spec: ModelSpec, reasons: bool, owner: str, asked_by: str
) -> Job:
    """The same in a transaction of its own."""
    with writing(workspace.engine) as connection:
        return queue_all(connection, spec, reasons, owner, asked_by)


def _printable(name: str) -> str:
    """A file's name as it may be stored and shown."""
    return "".join(one if one.isprintable() else "?" for one in name)[:LONGEST_NAME]
