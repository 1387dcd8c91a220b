"""The service itself: what it is, whether it is well, and the models it has."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import text

from ml.lifecycle.summary import model_summary
from warehouse.database import reading

router = APIRouter(tags=["Service"])


@router.get("/", summary="Names the service and lists its endpoints")
def root(request: Request) -> dict[str, Any]:
    schema = request.app.openapi()
    return {
        "service": "Sevenfold",
        "version": schema["info"]["version"],
        "documentation": "/docs",
        "endpoints": sorted(
            f"{method.upper()} {path}" for path, item in schema["paths"].items() for method in item
        ),
    }


@router.get("/api/health", summary="Whether warehouse and champions are well")
def health(request: Request) -> dict[str, Any]:
    workspace = request.app.state.workspace
    with reading(workspace.engine) as connection:
        connection.execute(text("SELECT 1"))
    models = {spec.name: _champion_state(request, spec) for spec in workspace.registry.values()}
    return {"status": "ok", "warehouse": "ok", "models": models}


@router.get("/api/models", summary="The models: champion, metrics, freshness, availability")
def models(request: Request) -> dict[str, Any]:
    workspace = request.app.state.workspace
    rows = [model_summary(workspace, spec) for spec in workspace.registry.values()]
    return {"items": rows, "next_cursor": None}


@router.get("/api/models/{model}", summary="One model")
def model(request: Request, model: str) -> dict[str, Any]:
    from api.problems import Problem
    from ml.models import UnknownModelError

    workspace = request.app.state.workspace
    try:
        spec = workspace.registry[model]
    except UnknownModelError as error:
        raise Problem(404, "unknown_model", str(error)) from error
    return model_summary(workspace, spec)


def _champion_state(request: Request, spec: Any) -> str:
    from api.problems import Problem

    try:
        request.app.state.predictor.champion(spec)
    except Problem as problem:
        return problem.code
    return "ok"
