"""Counts and times requests by route template, method and status."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from api import call as calls
from api.metrics import Metrics


class Measure:
    """Feeds the Prometheus metrics; a path that is no route counts as ``unmatched``."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        call = calls.of(scope)
        try:
            await self.app(scope, receive, send)
        finally:
            # In the loop's next round: the answer leaves at the end of this one.
            asyncio.get_running_loop().call_soon(
                self.metrics.request,
                scope["method"],
                calls.route_of(scope),
                call.status,
                call.elapsed(),
            )
