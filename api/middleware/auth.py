"""Who calls: the key of a request, checked; routes say which role they need, and refuse."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from api import call as calls
from api.keys import NOT_VALID, Keys
from api.limiter import Limiter


class Auth:
    """Sets the caller of a call, or why there is none."""

    def __init__(self, app: ASGIApp, keys: Keys, limiter: Limiter) -> None:
        self.app = app
        self.keys = keys
        self.limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            text = _given(scope)
            if text is not None:
                call = calls.of(scope)
                found = self.keys.known(text)
                if found is None:
                    found = await self._asked_for(text, call)
                if isinstance(found, str):
                    call.unknown_because = found
                else:
                    call.caller = found
        await self.app(scope, receive, send)

    async def _asked_for(self, text: str, call: calls.Call) -> calls.Caller | str:
        """A key that is not known yet; who tries too many is not looked for."""
        call.counted = await self.limiter.of_address(call.address)
        if call.counted is not None and not call.counted.allowed:
            return NOT_VALID
        return await self.keys.caller(text)


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
