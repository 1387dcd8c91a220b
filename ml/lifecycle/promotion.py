"""Which version serves, as people decide it."""

from __future__ import annotations

from sqlalchemy import Connection

from ml.lifecycle.workspace import Workspace
from ml.models import ModelSpec
from warehouse.database import reading
from warehouse.repositories import models
from warehouse.repositories.models import Promotion


class AlreadyChampionError(RuntimeError):
    """The version serves already, so there is nothing to promote."""


def require_intact(workspace: Workspace, spec: ModelSpec, version: str) -> None:
    """Look at a version before it is promoted: what is damaged would not serve.

    Raises UnknownVersionError where the model has no such version, and DamagedArtifactError
    where its files are not those that were written.
    """
    with reading(workspace.engine) as connection:
        models.require(connection, spec.name, version)
    workspace.artifacts.open(spec.name, version)


def promote(
    connection: Connection, spec: ModelSpec, version: str, reason: str, by: str
) -> Promotion:
    """Make the version champion, also one that its gate rejected; AlreadyChampionError."""
    champion = models.champion(connection, spec.name)
    if champion is not None and champion.version == version:
        raise AlreadyChampionError(f"{version} is champion of {spec.title} already")
    return models.promote(connection, spec.name, version, reason, by)


def rollback(
    connection: Connection, workspace: Workspace, spec: ModelSpec, reason: str, by: str
) -> Promotion:
    """Make the champion before the present one champion again, or none where there was none.

    Raises NothingToRollBackError without a champion, and DamagedArtifactError where the files of
    the one before are not those that were written: then nothing is changed.
    """
    entry = models.rollback(connection, spec.name, reason, by)
    if entry.version is not None:
        workspace.artifacts.open(spec.name, entry.version)
    return entry
