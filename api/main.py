"""The application factory of the HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request

from api import logs, openapi
from api.dependencies import Services
from api.middleware.auth import Auth
from api.middleware.body_limit import BodyLimit
from api.middleware.errors import Errors
from api.middleware.logging import Logging
from api.middleware.metrics import Measure
from api.middleware.overload import Overload
from api.middleware.rate_limit import RateLimit
from api.problems import invalid, of_http
from api.routes import (
    admin,
    bulk,
    decisions,
    docs,
    jobs,
    keys,
    retraining,
    schedules,
    service,
    stored,
    versions,
    webhooks,
)
from api.routing import methods_of
from api.settings import ApiSettings
from ml.lifecycle.workspace import Workspace
from ml.webhooks.settings import WebhookSettings


def create_app(
    workspace: Workspace | None = None,
    settings: ApiSettings | None = None,
    callbacks: WebhookSettings | None = None,
) -> FastAPI:
    """The API of a workspace; routes, schemas and their documentation come from its registry."""
    workspace = workspace or Workspace.open()
    settings = settings or ApiSettings()
    logs.configure(settings.logs_json(workspace.settings.env))
    having = Services(workspace, settings, callbacks)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with having.serving():
            yield

    app = FastAPI(
        title="Sevenfold",
        version=version("sevenfold"),
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_url="/openapi.json" if settings.api_docs else None,
    )
    app.state.services = having
    _routes(app, workspace, settings)
    _middleware(app, having)
    openapi.install(app)
    return app


def _routes(app: FastAPI, workspace: Workspace, settings: ApiSettings) -> None:
    """Those that are called most come first: they are compared one by one."""
    specs = list(workspace.registry.values())
    for spec in specs:
        decisions.add_routes(app, spec)
    for spec in specs:
        stored.add_routes(app, spec)
    stored.add_client_route(app)
    service.add_routes(app)
    for spec in specs:
        versions.add_routes(app, spec)
    for spec in specs:
        bulk.add_routes(app, spec)
    jobs.add_routes(app)
    schedules.add_routes(app)
    retraining.add_routes(app)
    webhooks.add_routes(app)
    keys.add_routes(app)
    admin.add_routes(app)
    if settings.api_docs:
        docs.add_routes(app)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> None:
        raise invalid(
            [
                # Where JSON breaks off is a number of bytes, not a field.
                {**item, "loc": () if item["type"] == "json_invalid" else item["loc"][1:]}
                for item in error.errors()
            ]
        )

    @app.exception_handler(HTTPException)
    async def _refused(request: Request, error: HTTPException) -> None:
        problem = of_http(error)
        if problem.status == 405:
            problem.headers = {"Allow": ", ".join(methods_of(app, request.scope))}
        raise problem


def _middleware(app: FastAPI, having: Services) -> None:
    """Added from the innermost to the outermost."""
    settings = having.settings
    errors = having.metrics.errors
    app.add_middleware(Errors, counter=errors)  # so that limits are told beside errors too
    app.add_middleware(RateLimit, limiter=having.limiter)
    app.add_middleware(Auth, keys=having.keys, limiter=having.limiter)
    app.add_middleware(
        BodyLimit,
        limit=settings.api_body_limit,
        longer={"batch": settings.api_batch_limit, "bulk": settings.api_bulk_limit},
    )
    app.add_middleware(Overload, most=settings.api_concurrency)
    app.add_middleware(Errors, counter=errors)
    if settings.api_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.api_cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                *("Authorization", "X-API-Key", "Content-Type", "Idempotency-Key"),
                *("If-None-Match", "X-Request-ID"),
            ],
            expose_headers=[
                *("ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After"),
                "X-Request-ID",
            ],
        )
    app.add_middleware(Measure, metrics=having.metrics)
    app.add_middleware(Logging, proxies=settings.proxies)
