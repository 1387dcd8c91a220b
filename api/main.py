"""The application factory of the HTTP API."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from api import problems
from api.predictor import Predictor
from api.routes import decisions, service
from ml.lifecycle.workspace import Workspace


def create_app(workspace: Workspace | None = None) -> FastAPI:
    """The API of a workspace; routes and schemas come from its registry."""
    workspace = workspace or Workspace.open()
    app = FastAPI(
        title="Sevenfold",
        version=version("sevenfold"),
        description="Stored and on-demand decisions of every model. This version has no keys yet:"
        " it listens on this machine alone.",
    )
    app.state.workspace = workspace
    app.state.predictor = Predictor(workspace)
    problems.install(app)
    app.include_router(service.router)
    for spec in workspace.registry.values():
        app.include_router(decisions.build_router(spec))
    return app
