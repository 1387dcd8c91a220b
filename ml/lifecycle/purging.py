"""What may go: old scores, features and jobs, and files that nothing names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ml.jobs.expiry import expire_files, forget_jobs
from ml.lifecycle import feature_store
from ml.lifecycle.workspace import Workspace
from warehouse.contract import TABLES
from warehouse.database import reading, utc_now, writing
from warehouse.exclusive import alone
from warehouse.ingestion import LAKE
from warehouse.repositories import data_versions, models, scores
from warehouse.snapshot import raw

DRAFTS_STAY = timedelta(days=1)
"""No training takes that long; what is older was left by one that died."""


@dataclass(frozen=True)
class Purged:
    """How much went."""

    scores: int
    features: int
    files: int
    jobs: int


def purge(workspace: Workspace) -> Purged:
    """Remove scores and stored features older than the retention, files of old jobs, and all
    versions but those named.

    A version of a table is still named by a stored score, by a model, or as the newest snapshot.
    Waits for an ingestion that is under way.
    """
    expired = expire_files(workspace)
    forget_jobs(workspace)
    with alone(workspace.engine, LAKE):
        return _purge(workspace, expired.jobs)


def _purge(workspace: Workspace, expired: int) -> Purged:
    before = workspace.yesterday - timedelta(days=workspace.settings.retention_days)
    removed = 0
    with writing(workspace.engine) as connection:
        for spec in workspace.registry.values():
            removed += scores.purge_before(connection, spec, before)
    with reading(workspace.engine) as connection:
        named = {
            day.data_version
            for spec in workspace.registry.values()
            for day in scores.days(connection, spec.name)
        } | {
            version.data_version
            for spec in workspace.registry.values()
            for version in models.versions(connection, spec.name, limit=10_000)
        }
        newest = data_versions.newest(connection)
        if newest is not None:
            named.add(newest.snapshot)
        kept = [found for name in named if (found := data_versions.get(connection, name))]
    files = workspace.artifacts.remove_drafts(utc_now() - DRAFTS_STAY)
    for table in sorted({table for version in kept for table in version.table_versions}):
        keep = {v.table_versions[table] for v in kept if table in v.table_versions}
        name = raw(table) if table in TABLES else table  # the quarantine is no raw table
        files += len(workspace.lake.vacuum(name, keep))
    features = 0
    if workspace.lake.version(feature_store.TABLE) is not None:
        features = workspace.lake.delete_before(feature_store.TABLE, "as_of", before)
        files += len(workspace.lake.vacuum(feature_store.TABLE, ()))
    return Purged(removed, features, files, expired)
