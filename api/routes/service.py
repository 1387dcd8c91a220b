"""The service itself: what it is, whether it is well, and the models it has."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.dependencies import Services, services
from api.problems import Problem
from api.routing import SecuredRoute, add, needs, public
from api.schemas.service import Health, Live, Model, Models, Root
from ml.lifecycle.summary import model_summary
from ml.models import ModelSpec, UnknownModelError
from warehouse.database import reading


def add_routes(app: FastAPI) -> None:
    """``/``, health, and ``/api/models``."""
    open_to_all: dict[str, Any] = {
        "methods": ["GET"], "tags": ["Service"], "openapi_extra": public(),
    }  # fmt: skip
    for_readers: dict[str, Any] = open_to_all | {"openapi_extra": needs("read")}
    add(app, SecuredRoute, "/", summary="Names the service and lists its endpoints", **open_to_all)(
        root
    )
    add(app, SecuredRoute, "/api/health", summary="Whether each part is well", **open_to_all)(
        health
    )
    add(app, SecuredRoute, "/api/health/live", summary="The process answers", **open_to_all)(live)
    add(
        app,
        SecuredRoute,
        "/api/health/ready",
        summary="Whether requests can be served",
        description="503 where the warehouse does not answer or a champion cannot be loaded at all;"
        " a damaged new champion beside one that goes on serving is `degraded`, and ready.",
        response_model=Health,
        responses={503: {"model": Health, "description": "Not ready; each part is named."}},
        **open_to_all,
    )(ready)
    add(
        app,
        SecuredRoute,
        "/api/models",
        summary="The models: champion, metrics, freshness, availability",
        **for_readers,
    )(models)
    add(app, SecuredRoute, "/api/models/{model}", summary="One model", **for_readers)(model)


def root(request: Request) -> Root:
    app = request.app
    schema = app.openapi()
    return Root(
        service="Sevenfold",
        version=app.version,
        documentation="/docs" if app.openapi_url else None,
        endpoints=sorted(
            f"{method.upper()} {path}" for path, item in schema["paths"].items() for method in item
        ),
    )


async def live() -> Live:
    return Live(status="ok")


def health(request: Request) -> Health:
    return _health(services(request))


def ready(request: Request) -> Response:
    found = _health(services(request))
    status = 503 if found.status == "unavailable" else 200
    return Response(found.model_dump_json(), status, media_type="application/json")


def models(request: Request) -> Models:
    workspace = services(request).workspace
    specs = workspace.registry.values()
    return Models(items=[Model(**model_summary(workspace, spec)) for spec in specs])


def model(request: Request, model: str) -> Model:
    return Model(**model_summary(services(request).workspace, spec_of(request, model)))


def spec_of(request: Request, name: str) -> ModelSpec:
    """The model of a path; Problem 404 listing those there are."""
    try:
        return services(request).workspace.registry[name]
    except UnknownModelError as error:
        raise Problem(404, "unknown_model", str(error)) from error


def _health(having: Services) -> Health:
    states = {
        name: having.champions.state(spec) for name, spec in having.workspace.registry.items()
    }
    try:
        with reading(having.workspace.engine) as connection:
            connection.execute(text("SELECT 1"))
        reachable = True
    except SQLAlchemyError:
        reachable = False
    broken = [state for state in states.values() if state.problem is not None]
    silent = any(state.champion is None for state in broken)
    return Health(
        status="unavailable" if silent or not reachable else "degraded" if broken else "ok",
        warehouse="ok" if reachable else "unreachable",
        models={name: state.code for name, state in states.items()},
        serving={
            name: state.champion.version if state.champion else None
            for name, state in states.items()
        },
    )
