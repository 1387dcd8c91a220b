"""The one resource that assets take: the workspace that a home's settings describe."""

from __future__ import annotations

import dagster as dg

from ml.lifecycle.workspace import Workspace


class WorkspaceResource(dg.ConfigurableResource):
    """Opens the workspace once a process; settings come from ``SEVENFOLD_…``."""

    def open(self) -> Workspace:
        """The open workspace, its warehouse migrated."""
        return Workspace.current()


def workspace_resource(workspace: Workspace | None = None) -> WorkspaceResource:
    """The resource of this process's environment, or one that hands out an open workspace.

    Dagster builds a resource anew for each run from its configuration alone, so an open
    workspace is held by a class of its own.
    """
    if workspace is None:
        return WorkspaceResource()

    class OpenWorkspace(WorkspaceResource):
        def open(self) -> Workspace:
            return workspace

    return OpenWorkspace()
