"""The one resource that assets take: the workspace that a home's settings describe."""

from __future__ import annotations

import dagster as dg

from ml.lifecycle.workspace import Workspace


class WorkspaceResource(dg.ConfigurableResource):
    """Opens the workspace once a process; settings come from ``SEVENFOLD_…``."""

    def open(self) -> Workspace:
        """The open workspace, its warehouse migrated."""
        return Workspace.current()
