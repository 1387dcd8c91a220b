"""How routes are made: each says the role it needs, and hot ones skip what they do not need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from api import call as calls
from api.problems import Problem, misread
from warehouse.repositories.keys import Role

ROLE = "x-role"
ANYTHING = "anything"
"""The convertor of a path parameter that may hold any character, slashes and newlines too."""
PUBLIC = "public"


class _Anything(StringConvertor):
    regex = "(?s:.+)"


register_url_convertor(ANYTHING, _Anything())


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
        self._begins, *parameters = self.path.split("{", 1)
        self._fixed = not parameters

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # Routes are tried one by one, and nearly all are another's: told before any pattern is.
        if not scope.get("root_path"):
            path: str = scope["path"]
            if path != self._begins if self._fixed else not path.startswith(self._begins):
                return Match.NONE, {}
        return super().matches(scope)

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


class RawRoute(SecuredRoute):
    """A route whose endpoint takes the request and the body's bytes, and returns a Response.

    The body's type is declared on the endpoint as anywhere, for the documentation. What FastAPI
    spends on dependencies and on turning models into dicts is several decisions' time.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.body_field is None:
            raise TypeError(f"{self.path}: the endpoint takes a body")
        parse = self.parser(cast(type[BaseModel], self.body_field.field_info.annotation))
        endpoint = cast(Callable[[Request, Any], Awaitable[Response]], self.endpoint)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            response = await endpoint(request, parse(await request.body()))
            await response(scope, receive, send)

        self.app: ASGIApp = app

    def parser(self, declared: type[BaseModel]) -> Callable[[bytes], Any]:
        """What turns the body into what the endpoint takes."""
        return bytes


class JsonRoute(RawRoute):
    """The same where pydantic parses the body straight from its bytes."""

    def parser(self, declared: type[BaseModel]) -> Callable[[bytes], Any]:
        validate = declared.__pydantic_validator__.validate_json

        def parse(body: bytes) -> Any:
            try:
                return validate(body)
            except ValidationError as error:
                raise misread(error) from None

        return parse


def add(app: FastAPI, route_class: type[SecuredRoute], path: str, **options: Any) -> Any:
    """A decorator that adds a route of this class straight to the application.

    Included routers would be walked one inside the other for each request.
    """

    def register(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        app.router.add_api_route(path, endpoint, route_class_override=route_class, **options)
        return endpoint

    return register


def methods_of(app: FastAPI, scope: Scope) -> list[str]:
    """The methods of all routes of a path."""
    there = (route for route in app.router.routes if route.matches(scope)[0] != Match.NONE)
    return sorted({method for route in there for method in getattr(route, "methods", None) or ()})
