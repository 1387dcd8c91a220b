"""How often a key, or an address without one, may call: 429 with ``Retry-After`` beyond it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import call as calls
from api.limiter import Limiter
from api.problems import Problem

EXEMPT = "/api/health"


class RateLimit:
    """Counts a call against its limit; the answer tells what is left of it."""

    def __init__(self, app: ASGIApp, limiter: Limiter) -> None:
        self.app = app
        self.limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(EXEMPT):
            await self.app(scope, receive, send)
            return
        call = calls.of(scope)
        if call.caller:
            counted = await self.limiter.of_key(call.caller.tier, call.caller.key_id)
        else:
            # An unknown key was counted before it was looked for.
            counted = call.counted or await self.limiter.of_address(call.address)
        if counted is None:
            await self.app(scope, receive, send)
            return
        headers = counted.headers()
        if not counted.allowed:
            what = "this key's tier" if call.caller else "calls without a valid key"
            raise Problem(
                429,
                "rate_limited",
                f"{counted.limit} is the limit of {what}: try again in {counted.reset} s.",
                headers={
                    "Retry-After": str(counted.reset),
                    **{name.decode(): value.decode() for name, value in headers},
                },
            )

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self.app(scope, receive, told)
