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


class ChampionChangedError(RuntimeError):
    """Somebody else decided on the champion at the same time."""


def require_usable(workspace: Workspace, spec: ModelSpec, version: str) -> None:
    """Look at a version before it is promoted: what cannot be read would not serve.

    Raises UnknownVersionError where the model has no such version, DamagedArtifactError where its
    files are not those that were written, OtherFormatError where today's code cannot read them,
    and StoreError where the store does not answer.
    """
    with reading(workspace.engine) as connection:
        models.require(connection, spec.name, version)
    workspace.require_format(spec, workspace.artifacts.open(spec.name, version))


def promote(
    connection: Connection, spec: ModelSpec, version: str, reason: str, by: str
) -> Promotion:
    """Make the version champion, also one that its gate rejected; AlreadyChampionError."""
    models.decide_alone(connection, spec.name)
    champion = models.champion(connection, spec.name)
    if champion is not None and champion.version == version:
        raise AlreadyChampionError(f"{version} is champion of {spec.title} already")
    return models.promote(connection, spec.name, version, reason, by)


def before(workspace: Workspace, spec: ModelSpec) -> str | None:
    """The version that a rollback brings back, looked at as before a promotion; None without one.

    Raises NothingToRollBackError without a champion, and what ``require_usable`` raises.
    """
    with reading(workspace.engine) as connection:
        version = models.before(connection, spec.name)
    if version is not None:
        require_usable(workspace, spec, version)
    return version


def rollback(
    connection: Connection, spec: ModelSpec, looked_at: str | None, reason: str, by: str
) -> Promotion:
    """Make the champion before the present one champion again, or none where there was none.

    ``looked_at`` is what ``before`` found: its files were read outside this transaction. Raises
    ChampionChangedError where it is another by now, and NothingToRollBackError without a champion;
    then nothing is changed.
    """
    entry = models.rollback(connection, spec.name, reason, by)
    if entry.version != looked_at:
        raise ChampionChangedError(f"somebody else changed the champion of {spec.title} meanwhile")
    return entry
