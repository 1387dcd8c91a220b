"""Counts and times requests by route template, method and status."""

from __future__ import annotations

import time

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
            seconds = time.perf_counter() - call.started
            self.metrics.request(scope["method"], calls.route_of(scope), call.status, seconds)
