"""No more requests at once than can be answered: beyond it 503 with ``Retry-After``, at once."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import Problem

ALWAYS = "/api/health/live"


class Overload:
    """Counts requests in flight; who comes too many is told so rather than kept waiting."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == ALWAYS:
            await self.app(scope, receive, send)
            return
        if self.inside >= self.most:
            raise Problem(
                503,
                "busy",
                f"{self.most} requests are being answered, as many as this instance takes.",
                headers={"Retry-After": "1"},
            )
        self.inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1
