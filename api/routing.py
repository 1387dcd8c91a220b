"""How routes are made: each says the role it needs, and hot ones skip what they do not need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api import call as calls
from api.call import Role
from api.problems import Problem, invalid

ROLE = "x-role"
PUBLIC = "public"


def needs(role: Role) -> dict[str, Any]:
    """What a route says to be open to keys of this role and above."""
    return {ROLE: role}


def public() -> dict[str, Any]:
    """What a route says to be open to everybody."""
    return {ROLE: PUBLIC}


class SecuredRoute(APIRoute):
    """A route that refuses who may not call it; one that names no role is an error at start."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        extra = self.openapi_extra or {}
        if ROLE not in extra:
            raise TypeError(f"{self.path}: say openapi_extra=needs(role) or public()")
        self.role: Role | None = None if extra[ROLE] == PUBLIC else extra[ROLE]

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.role is not None:
            require(calls.of(scope), self.role)
        await super().handle(scope, receive, send)


def require(call: calls.Call, role: Role) -> None:
    """401 without a valid key, 403 where its role is too low."""
    if call.caller is None:
        raise Problem(
            401,
            "unauthorized",
            f"A key is needed, and {call.unknown_because}: send `Authorization: Bearer svf_…`.",
            headers={"WWW-Authenticate": 'Bearer realm="sevenfold"'},
        )
    if not call.caller.may(role):
        raise Problem(
            403,
            "forbidden",
            f"This needs a key of role {role} or above; this one has {call.caller.role}.",
        )


class JsonRoute(SecuredRoute):
    """A route whose body pydantic parses straight from bytes, and whose endpoint answers bytes.

    The endpoint takes the request and the parsed body, and returns a Response. What FastAPI
    spends on dependencies and on turning models into dicts is several decisions' time.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.body_field is None:
            raise TypeError(f"{self.path}: a JsonRoute's endpoint takes a body")
        model = cast(type[BaseModel], self.body_field.field_info.annotation)
        parse = model.__pydantic_validator__.validate_json
        endpoint = cast(Callable[[Request, Any], Awaitable[Response]], self.endpoint)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            body = await request.body()
            try:
                query = parse(body)
            except ValidationError as error:
                raise invalid(error.errors(include_url=False, include_input=False)) from None
            response = await endpoint(request, query)
            await response(scope, receive, send)

        self.app: ASGIApp = app


def add(app: FastAPI, route_class: type[SecuredRoute], path: str, **options: Any) -> Any:
    """A decorator that adds a route of this class straight to the application.

    Included routers would be walked one inside the other for each request.
    """

    def register(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        app.router.add_api_route(path, endpoint, route_class_override=route_class, **options)
        return endpoint

    return register
