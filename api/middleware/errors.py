"""Every error of a request as a problem, with its request id and nothing of our inside."""

from __future__ import annotations

from prometheus_client import Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import call as calls
from api.logs import logger
from api.problems import Problem, answer
from warehouse.database import unreachable


class Errors:
    """Answers what was raised below; an error nobody foresaw is logged and becomes a 500."""

    def __init__(self, app: ASGIApp, counter: Counter) -> None:
        self.app = app
        self.counter = counter
        self.log = logger("errors")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        request_id = calls.of(scope).request_id
        try:
            await self.app(scope, receive, noted)
            return
        except Problem as raised:
            problem = raised
        except Exception as error:
            self.log.error(
                "unexpected",
                method=scope["method"],
                route=calls.route_of(scope),
                request_id=request_id,
                exc_info=error,
            )
            if begun:  # half an answer is out: only closing the connection can say so
                raise
            problem = _of(error, request_id)
        self.counter.labels(problem.code).inc()
        await answer(problem, request_id)(scope, receive, send)


def _of(error: Exception, request_id: str) -> Problem:
    if unreachable(error):
        return Problem(
            503,
            "warehouse_unreachable",
            "The warehouse does not answer.",
            headers={"Retry-After": "5"},
        )
    return Problem(
        500,
        "internal_error",
        f"Something went wrong on our side; the log has it under {request_id}.",
    )
