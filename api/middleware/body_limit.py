"""No body above its limit is read to its end, whatever its header said."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem


class BodyLimit:
    """413 naming the limit: at once by ``Content-Length``, else while the body streams in."""

    def __init__(self, app: ASGIApp, limit: int, longer: Mapping[str, int]) -> None:
        """``longer`` are the limits of paths that end so."""
        self.app = app
        self.limit = limit
        self.longer = longer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self.app(scope, receive, send)
            return
        limit = self.longer.get(scope["path"].rpartition("/")[2], self.limit)
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value) > limit):
                raise _too_large(limit)
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _too_large(limit)
            return message

        await self.app(scope, counted, send)


def _too_large(limit: int) -> Problem:
    return Problem(413, "body_too_large", f"The body is larger than {limit:,} bytes, the limit.")
