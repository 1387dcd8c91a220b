"""What runs need from outside: the workspace, and Dagster's own home laid ready."""

from __future__ import annotations

import os
from pathlib import Path

from assets.workspace import WorkspaceResource, workspace_resource
from ml.lifecycle.workspace import Workspace
from orchestration.settings import OrchestrationSettings
from warehouse.settings import PROJECT, WarehouseSettings

POSTGRES_STORAGE = """
# SEVENFOLD_DAGSTER_STORAGE_URL is set: several machines share these records.
storage:
  postgres:
    postgres_url:
      env: SEVENFOLD_DAGSTER_STORAGE_URL
"""


def resources(workspace: Workspace | None = None) -> dict[str, WorkspaceResource]:
    """Resources by the name that assets ask for; an open workspace serves this process alone."""
    return {"workspace": workspace_resource(workspace)}


def prepare_dagster_home(settings: WarehouseSettings) -> Path:
    """Lay ``dagster.yaml`` into ``$SEVENFOLD_HOME/dagster`` and point Dagster at it.

    Dagster reads its settings from its own home alone; a changed project file replaces the copy.
    With ``SEVENFOLD_DAGSTER_STORAGE_URL`` its records go to PostgreSQL.
    """
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    text = (PROJECT / "dagster.yaml").read_text()
    if OrchestrationSettings().dagster_storage_url:
        text += POSTGRES_STORAGE
    target = home / "dagster.yaml"
    if not target.exists() or target.read_text() != text:
        target.write_text(text)
    os.environ["DAGSTER_HOME"] = str(home)
    # child processes, such as Dagster's daemon, must see the same home from any directory
    os.environ["SEVENFOLD_HOME"] = str(settings.home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    return home
