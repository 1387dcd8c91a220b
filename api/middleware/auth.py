"""Who calls: the key of a request, checked; routes say which role they need, and refuse."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from api import call as calls
from api.keys import Keys


class Auth:
    """Sets the caller of a call, or why there is none."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            text = _given(scope)
            if text is not None:
                call = calls.of(scope)
                found = await self.keys.caller(text)
                if isinstance(found, str):
                    call.unknown_because = found
                else:
                    call.caller = found
        await self.app(scope, receive, send)


def _given(scope: Scope) -> str | None:
    """The key that a request carries: ``Authorization: Bearer``, else ``X-API-Key``."""
    other = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, text = value.decode("latin-1").partition(" ")
            if kind.lower() == "bearer":
                return str(text.strip())
        elif name == b"x-api-key":
            other = value.decode("latin-1").strip()
    return other
