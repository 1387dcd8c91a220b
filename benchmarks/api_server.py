"""The API as it is served, with two routes that only answer: what a request costs before any work.

``uvicorn benchmarks.api_server:with_middleware --factory`` serves a home;
``without_middleware`` the same routes with nothing around them.
"""

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel

from api.main import create_app
from api.routing import JsonRoute, SecuredRoute, add, needs, public

ANSWER = b'{"model":"constant","decisions":[{"client_id":"C0000001","value":0.5}],"detail":null}'


class Constant(BaseModel):
    """What the constant decision takes."""

    client_id: str


def with_middleware() -> FastAPI:
    """The whole application, and the constant routes in front of its own."""
    app = create_app()
    _constants(app, needs("write"))
    # Where a decision's route stands: the first ones are compared first.
    routes = app.router.routes
    for _ in range(2):
        routes.insert(0, routes.pop())
    return app


def without_middleware() -> FastAPI:
    """The constant routes alone."""
    app = FastAPI(openapi_url=None)
    _constants(app, public())
    return app


def _constants(app: FastAPI, role: dict[str, str]) -> None:
    async def decide(request: Request, query: Constant) -> Response:
        return Response(ANSWER, media_type="application/json")

    async def read(request: Request) -> Response:
        return Response(ANSWER, media_type="application/json")

    options = {"openapi_extra": role}
    add(app, JsonRoute, "/constant", methods=["POST"], name="constant_decision", **options)(decide)
    add(app, SecuredRoute, "/constant", methods=["GET"], name="constant_read", **options)(read)
