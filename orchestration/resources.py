"""What runs need from outside: the workspace, and Dagster's own home laid ready."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from assets.workspace import WorkspaceResource, workspace_resource
from ml.lifecycle.workspace import Workspace
from warehouse.settings import PROJECT, WarehouseSettings


def resources(workspace: Workspace | None = None) -> dict[str, WorkspaceResource]:
    """Resources by the name that assets ask for; an open workspace serves this process alone."""
    return {"workspace": workspace_resource(workspace)}


def prepare_dagster_home(settings: WarehouseSettings) -> Path:
    """Lay ``dagster.yaml`` into ``$SEVENFOLD_HOME/dagster`` and point Dagster at it.

    Dagster reads its settings from its own home alone; a changed project file replaces the copy.
    """
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    source, target = PROJECT / "dagster.yaml", home / "dagster.yaml"
    if not target.exists() or target.read_bytes() != source.read_bytes():
        shutil.copyfile(source, target)
    os.environ["DAGSTER_HOME"] = str(home)
    # child processes, such as Dagster's daemon, must see the same home from any directory
    os.environ["SEVENFOLD_HOME"] = str(settings.home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    return home
