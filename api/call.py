"""What is known of one request on its way through the middleware."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from warehouse.repositories.keys import ROLES, Role

if TYPE_CHECKING:
    from api.limiter import Counted

_KEY = "sevenfold"
_REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a key, whose it is, and what it may do."""

    key_id: str
    owner: str
    role: Role
    tier: str

    def may(self, role: Role) -> bool:
        """Whether the caller's role is at least this one; each may do what those before it may."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(slots=True)
class Call:
    """One request: its id, who makes it from where, and why it has no caller."""

    request_id: str
    address: str
    started: float = field(default_factory=time.perf_counter)
    caller: Caller | None = None
    unknown_because: str = "no key was given"
    status: int = 500
    counted: Counted | None = None

    def elapsed(self) -> float:
        """Seconds since the request came."""
        return time.perf_counter() - self.started


def of(scope: Scope) -> Call:
    """The call that the outermost middleware began."""
    call: Call = scope[_KEY]
    return call


def begin(scope: Scope, call: Call) -> None:
    """Attach the call to its request, and to the log lines written for it."""
    scope[_KEY] = call
    _REQUEST_ID.set(call.request_id)


def request_id() -> str | None:
    """The id of the request that is being answered here, if one is."""
    return _REQUEST_ID.get()


def route_of(scope: Scope) -> str:
    """The template of the matched path, such as ``/api/churn/latest/{entity}``; never an id."""
    route: Any = scope.get("route")
    return getattr(route, "path_format", "unmatched")
